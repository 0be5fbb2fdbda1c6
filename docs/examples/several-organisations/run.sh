#!/bin/sh
# A market operator and three DSOs clear a day together on one machine, over a NATS server on loopback.
# Usage: run.sh FOLDER [PORT]; the results are in FOLDER.
set -eu
folder=$1
port=${2:-4222}
server=nats://127.0.0.1:$port

mkdir "$folder"
python3 -c '
import sys
from pathlib import Path
from flexpeer.adapters.clearing_files import write_problem
from flexpeer.simulation.clearing_problems import clearing_problem
write_problem(clearing_problem(200, 24), Path(sys.argv[1]))
' "$folder/problem.npz"
flexpeer split "$folder/problem.npz" --out "$folder/shares"

nats-server --addr 127.0.0.1 --port "$port" >"$folder/server.txt" 2>&1 &
server_pid=$!
trap 'kill "$server_pid"; wait "$server_pid" || true' EXIT
trap 'exit 1' INT TERM
sleep 1

dso_pids=
for dso in dso-0 dso-1 dso-2; do
    flexpeer node --dso "$dso" --problem "$folder/shares/$dso.npz" --keys "$folder/shares" --server "$server" \
        --timeout 60 --out "$folder/$dso.npz" >"$folder/$dso.txt" &
    dso_pids="$dso_pids $!"
done
flexpeer node --market-operator "$folder/shares/outline.json" --keys "$folder/shares" --server "$server" --timeout 60
for pid in $dso_pids; do
    wait "$pid"
done
cat "$folder"/dso-?.txt
