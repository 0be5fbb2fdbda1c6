"""A long rural feeder as an OpenDSS script, and what reading it takes: `python -m benchmarks.rural_feeder [HOMES]`.

Of the kind and size of the IEEE 8500-node feeder, which is not at hand: a 12.47 kV trunk of three phases with three
banks of single-phase regulators and four capacitors, laterals of one phase, and at each of their ends homes behind a
centre-tapped service transformer (three windings, two legs of 120 V) and a triplex line. Needs the extra `opendss`.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.gridfiles.opendss_engine import dss_circuit
from flexpeer.grid.powerflow import solve

HOMES = 1_700
TRUNK = 60
PHASE_KV = 7.2
HEAD = """clear
new circuit.rural basekv=115 pu=1.0 bus1=station mvasc3=900 mvasc1=700
new transformer.station phases=3 windings=2 buses=(station, trunk0) conns=(delta, wye) kvs=(115, 12.47) xhl=15.5
~ kvas=(27500, 27500)
new linecode.trunk nphases=3 r1=0.19 x1=0.39 r0=0.5 x0=1.2 c1=11 c0=5 units=km
new linecode.lateral nphases=1 r1=0.7 x1=0.75 r0=0.7 x0=0.75 c1=6 c0=6 units=km
new linecode.triplex nphases=2 rmatrix=(0.9 | 0.25 0.9) xmatrix=(0.6 | 0.35 0.6) cmatrix=(0 | 0 0) units=km
"""
TAIL = """set voltagebases=(115, 12.47, 0.208)
calcvoltagebases
set maxcontroliter=100
solve
"""


def rural_feeder(homes: int = HOMES) -> str:
    """The script; every home has a bus of medium voltage, one at its transformer and one at its meter."""
    return "\n".join([HEAD, *_trunk(), *_homes(homes), TAIL])


def _trunk() -> Iterator[str]:
    """Sections of 0.4 km; regulators and capacitors on the way."""
    for n in range(TRUNK):
        start = f"trunk{n}"
        if n % 20 == 10:
            start = f"regulated{n}"
            for phase in (1, 2, 3):
                name = f"reg{n}_{phase}"
                yield (
                    f"new transformer.{name} phases=1 windings=2 buses=(trunk{n}.{phase}, regulated{n}.{phase}) "
                    f"kvs=({PHASE_KV}, {PHASE_KV}) kvas=(10000, 10000) xhl=0.01 %loadloss=0.001"
                )
                yield f"new regcontrol.{name} transformer={name} winding=2 vreg=123 band=2 ptratio=60"
        yield f"new line.trunk{n} bus1={start} bus2=trunk{n + 1} linecode=trunk length=0.4 units=km normamps=400.5"
        if n % 15 == 7:
            yield f"new capacitor.cap{n} bus1=trunk{n + 1} kv=12.47 kvar=300"


def _homes(homes: int) -> Iterator[str]:
    """Laterals of ten homes each, round the phases along the trunk."""
    for home in range(homes):
        lateral, place = divmod(home, 10)
        phase = 1 + lateral % 3
        start = f"trunk{1 + lateral % TRUNK}" if place == 0 else f"mv{home - 1}"
        ends = f"bus1={start}.{phase} bus2=mv{home}.{phase}"
        yield f"new line.mv{home} phases=1 {ends} linecode=lateral length=0.1 units=km"
        yield (
            f"new transformer.t{home} phases=1 windings=3 buses=(mv{home}.{phase}, lv{home}.1.0, lv{home}.0.2) "
            f"kvs=({PHASE_KV}, 0.12, 0.12) kvas=(25, 25, 25) xhl=2.04 xht=2.04 xlt=1.36 %rs=(0.6, 1.2, 1.2)"
        )
        yield f"new line.service{home} bus1=lv{home}.1.2 bus2=home{home}.1.2 linecode=triplex length=0.03 units=km"
        power = f"kw={2 + home % 5 / 2:g} pf=0.95"
        yield f"new load.home{home} phases=1 bus1=home{home}.1.2 kv=0.24 {power} model=1"


def main() -> None:
    """Print how large it is, how long reading and solving take, how far voltages are apart, and the findings."""
    parser = argparse.ArgumentParser(description="What reading a long rural OpenDSS feeder takes.")
    parser.add_argument("homes", nargs="?", type=int, default=HOMES)
    homes = parser.parse_args().homes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rural.dss"
        path.write_text(rural_feeder(homes), encoding="utf-8")
        begin = time.perf_counter()
        circuit = dss_circuit(path, "rural.dss")
        engine = time.perf_counter()
        grid = open_grid(path.name, path.parent)
        read = time.perf_counter()
    v_pu = np.abs(solve(grid.network, grid.p_w, grid.q_var).v[:, 0])
    apart = {}
    for name, bus in circuit.buses.items():
        mean = np.mean([abs(v) for node, v in bus.v.items() if 0 < node < 4]) / (1e3 * bus.v_kv)
        apart[name] = abs(v_pu[grid.bus_index(name)] - mean)
    worst = max(apart, key=lambda name: apart[name])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(circuit.buses):,} buses, {sum(len(bus.v) for bus in circuit.buses.values()):,} nodes")
    print(
        f"OpenDSS {engine - begin:.1f} s; read {read - engine:.1f} s, of it OpenDSS once more; peak {peak_mb:,.0f} MB"
    )
    print(f"lowest {v_pu[v_pu > 0].min():.4f} pu; apart from the mean of phases: {apart[worst]:.4f} pu at {worst}")
    print(*grid.findings, sep="\n")


if __name__ == "__main__":
    main()
