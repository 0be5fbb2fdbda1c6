"""A circuit of OpenDSS scripts in its own engine, through the optional extra `opendss`: elements as arrays.

The engine is one for the whole program and runs what the scripts say. It may open no window, run no other program and
change no folder; what a script exports goes into a folder that is thrown away.
"""

import importlib
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from flexpeer.errors import bad_input
from flexpeer.grid.network import Complexes

GROUND = 0


@dataclass(frozen=True)
class DssElement:
    """One element in service: `buses` and `nodes` of each terminal, conductor by conductor, and what it is.

    `y_s` is its primitive admittance matrix in siemens, terminal after terminal; `drawn_va` what it draws at the solved
    state; `open_ends` which terminals are open; `stated` what the engine's own interface says of its class.
    """

    kind: str
    name: str
    buses: tuple[str, ...]
    nodes: tuple[tuple[int, ...], ...]
    y_s: Complexes
    drawn_va: complex
    open_ends: tuple[bool, ...]
    normal_a: float
    stated: dict[str, Any]

    @property
    def label(self) -> str:
        """What it is called, class and name."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True)
class DssBus:
    """A bus: nominal kV between a phase and earth (0: not stated), and the voltage of each node, V.

    `idle_v` are those without loads, at the same taps.
    """

    name: str
    v_kv: float
    v: dict[int, complex]
    idle_v: dict[int, complex]


@dataclass(frozen=True)
class DssCircuit:
    """A circuit as its script leaves it, solved; `solved` says whether the engine found a state."""

    buses: dict[str, DssBus]
    parts: tuple[DssElement, ...]
    solved: bool
    losses_w: float
    v_min_pu: float
    v_max_pu: float
    load_factor: float


def dss_circuit(path: Path, where: str) -> DssCircuit:
    """Run a script and solve what it describes; `BadInput` with the engine's message where that fails."""
    dss = _engine(where)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            dss.Basic.AllowForms(False)
            dss.Basic.AllowEditor(False)
            dss.Basic.AllowChangeDir(False)
            dss.Basic.ClearAll()
            dss.Basic.DataPath(scratch)
            dss.Text.Command(f'redirect "{path.resolve()}"')
            if dss.Circuit.Name() == "":
                raise bad_input(where, "the script defines no circuit", "an OpenDSS script with a circuit")
            dss.Text.Command("set mode=snapshot")
            dss.Solution.Solve()
            return _circuit(dss)
        except dss.DSSException as error:
            problem = " ".join(str(part) for part in error.args[-1:])
            raise bad_input(where, f"OpenDSS says: {problem}", "a script that OpenDSS runs") from error
        finally:
            dss.Basic.ClearAll()


def _engine(where: str) -> ModuleType:
    try:
        return importlib.import_module("opendssdirect")
    except ImportError as missing:
        problem = "the package opendssdirect.py is not installed"
        raise bad_input(where, problem, "pip install 'flexpeer[opendss]'", field="source") from missing


def _circuit(dss: Any) -> DssCircuit:
    """Read the state; then the voltages without load; then every element as if its terminals were closed."""
    solved, losses_w = bool(dss.Solution.Converged()), float(dss.Circuit.Losses()[0])
    factor = float(dss.Solution.LoadMult())
    states = {label: _state(dss, label) for label in _elements(dss)}
    loaded = _voltages(dss)
    dss.Text.Command("set controlmode=off")
    dss.Solution.LoadMult(0.0)
    dss.Solution.Solve()
    idle = _voltages(dss)
    for label, (open_ends, _) in states.items():
        dss.Circuit.SetActiveElement(label)
        for terminal, is_open in enumerate(open_ends, 1):
            if is_open:
                dss.CktElement.Close(terminal, 0)
    dss.Solution.BuildYMatrix(1, 0)
    return DssCircuit(
        {bus.name: bus for bus in _buses(dss, loaded, idle)},
        tuple(_part(dss, label, *state) for label, state in states.items()),
        solved,
        losses_w,
        float(dss.Settings.NormVminpu()),
        float(dss.Settings.NormVmaxpu()),
        factor,
    )


def _elements(dss: Any) -> Iterator[str]:
    """The elements in service."""
    for label in dss.Circuit.AllElementNames():
        dss.Circuit.SetActiveElement(label)
        if dss.CktElement.Enabled():
            yield str(label)


def _state(dss: Any, label: str) -> tuple[tuple[bool, ...], complex]:
    """Which terminals of an element are open, and what it draws, W + j var."""
    dss.Circuit.SetActiveElement(label)
    powers = np.asarray(dss.CktElement.Powers(), dtype=np.float64)
    open_ends = (bool(dss.CktElement.IsOpen(t, 0)) for t in range(1, int(dss.CktElement.NumTerminals()) + 1))
    return tuple(open_ends), complex(powers[::2].sum(), powers[1::2].sum()) * 1e3


Voltages = dict[str, dict[int, complex]]
PLATES: Final = {
    "generator": {"kW": "most_w"},
    "pvsystem": {"Pmpp": "most_w", "kVA": "rated_va"},
    "storage": {"kWrated": "most_w", "kWhrated": "energy_wh"},
}
"""What generating elements state of their size, in kW, kVA and kWh (OpenDSS, reference of their classes)."""


def _voltages(dss: Any) -> Voltages:
    found = {}
    for name in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(name)
        pairs = np.asarray(dss.Bus.Voltages(), dtype=np.float64).reshape(-1, 2)
        found[str(name).lower()] = {int(n): complex(*pair) for n, pair in zip(dss.Bus.Nodes(), pairs, strict=False)}
    return found


def _buses(dss: Any, loaded: Voltages, idle: Voltages) -> Iterator[DssBus]:
    for name in loaded:
        dss.Circuit.SetActiveBus(name)
        yield DssBus(name, float(dss.Bus.kVBase()), loaded[name], idle[name])


def _part(dss: Any, label: str, open_ends: tuple[bool, ...], drawn_va: complex) -> DssElement:
    dss.Circuit.SetActiveElement(label)
    element = dss.CktElement
    kind, _, name = label.partition(".")
    conductors, terminals = int(element.NumConductors()), int(element.NumTerminals())
    order = [int(node) for node in element.NodeOrder()]
    flat = np.asarray(element.YPrim(), dtype=np.float64)
    size = conductors * terminals
    y_s = np.zeros((0, 0), dtype=np.complex128)
    if len(flat) == 2 * size * size:
        y_s = (flat[::2] + 1j * flat[1::2]).reshape(size, size).T
    return DssElement(
        kind.lower(),
        name,
        tuple(str(bus).partition(".")[0].lower() for bus in element.BusNames()),
        tuple(tuple(order[t * conductors : (t + 1) * conductors]) for t in range(terminals)),
        y_s,
        drawn_va,
        open_ends,
        float(element.NormalAmps()),
        _stated(dss, kind.lower(), name),
    )


def _stated(dss: Any, kind: str, name: str) -> dict[str, Any]:
    """What a class has besides its admittance."""
    if kind == "vsource":
        dss.Vsources.Name(name)
        sources = dss.Vsources
        return {"v_kv": sources.BasekV(), "v_pu": sources.PU(), "angle_deg": sources.AngleDeg()}
    if kind == "load":
        dss.Loads.Name(name)
        loads = dss.Loads
        return {"p_w": 1e3 * loads.kW(), "q_var": 1e3 * loads.kvar(), "model": int(loads.Model())}
    if kind == "transformer":
        dss.Transformers.Name(name)
        dss.Transformers.Wdg(1)
        rated_kva = dss.Transformers.kVA()
        taps, v_kv = [], []
        for winding in range(1, int(dss.Transformers.NumWindings()) + 1):
            dss.Transformers.Wdg(winding)
            taps.append(float(dss.Transformers.Tap()))
            v_kv.append(float(dss.Transformers.kV()))
        return {"s_va": 1e3 * rated_kva, "taps": tuple(taps), "v_kv": tuple(v_kv)}
    return {term: 1e3 * _property(dss, f"{kind}.{name}", prop) for prop, term in PLATES.get(kind, {}).items()}


def _property(dss: Any, label: str, name: str) -> float:
    """A number of an element; NaN for whatever is none."""
    dss.Text.Command(f"? {label}.{name}")
    try:
        return float(dss.Text.Result())
    except ValueError:
        return math.nan
