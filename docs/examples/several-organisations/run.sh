#!/bin/sh
# A regional DSO, three local DSOs below it and the market operator clear a day together on one machine, each with a
# NATS server of its own on loopback; one peer has an agent of its own at its DSO.
# Usage: run.sh FOLDER [PORT]; the results are in FOLDER. PORT is the hub's, the next one that of dso-1's server.
# It runs the flexpeer on the path or, where there is none, that of this repository's own environment.
set -eu
if ! command -v flexpeer >/dev/null || ! python3 -c 'import flexpeer' 2>/dev/null; then
    own=$(cd "$(dirname "$0")" && pwd -P)/../../../.venv/bin
    if [ ! -x "$own/flexpeer" ]; then
        echo "run.sh: no flexpeer on the path, and none in $own (make .venv/installed)" >&2
        exit 2
    fi
    PATH=$own:$PATH
fi
folder=$1
port=${2:-7422}
hub=127.0.0.1:$port
home=127.0.0.1:$((port + 1))
shares=$folder/shares

mkdir "$folder"
python3 -c '
import sys
from pathlib import Path
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.clearing_problems import clearing_problem
write_problem(clearing_problem(400, 24, seed=57), Path(sys.argv[1]))
' "$folder/problem.npz"
flexpeer split "$folder/problem.npz" --out "$shares" --agent 5

pids=
trap 'kill $pids 2>"$folder/ending.txt" || true; wait' EXIT
trap 'exit 1' INT TERM
node() {
    name=$1
    shift
    flexpeer node "$@" --timeout 60 --out "$folder/$name.npz" >"$folder/$name.txt" 2>"$folder/$name.log" &
    pids="$pids $!"
}

for dso in dso-0 dso-2 dso-3; do
    node "$dso" --dso "$dso" --problem "$shares/$dso.npz" --keys "$shares" --hub "$hub"
done
node dso-1 --dso dso-1 --problem "$shares/dso-1.npz" --keys "$shares" --hub "$hub" --listen "$home" \
    --agents "$shares/dso-1-agents"
node peer-5 --dso dso-1 --peer peer-5 --problem "$shares/peer-5/peer-5.npz" --keys "$shares/peer-5" \
    --server "nats://$home"
flexpeer node --market-operator "$shares/outline.json" --keys "$shares" --listen "$hub" --timeout 60
for pid in $pids; do
    wait "$pid"
done
pids=
cat "$folder"/dso-?.txt "$folder"/peer-5.txt
