"""The sections and fields of flexpeer's own grid formats, and their checked entries as rows.

`docs/reference/grid-json.md` describes them; JSON and CSV differ only in how an entry is written.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flexpeer.adapters.gridfiles.pandapower_transformers import Nameplate, pi_section
from flexpeer.adapters.gridfiles.taps import stepped
from flexpeer.errors import Finding
from flexpeer.grid.assembly import BranchRow, BusRow, ControlledRow, GridRows, InjectionRow, ShuntRow, SourceRow

REQUIRED = "required"
NUMBER, TEXT, FLAG, LIMIT = "a finite number", "a text", "true or false", "a positive number, or null for no limit"
Fields = Mapping[str, tuple[str, object]]
SMALLEST, LARGEST = 1e-12, 1e12
"""Of a transformer's data, so that what follows from them are floats too."""

NEEDED_TEXT, NEEDED_NUMBER, ZERO, IN_SERVICE = (TEXT, REQUIRED), (NUMBER, REQUIRED), (NUMBER, 0.0), (FLAG, True)
UNKNOWN = (NUMBER, math.nan)
ENDS_AND_NAMES = {"name", "bus", "from", "to"}
ENDS: Fields = {"name": NEEDED_TEXT, "from": NEEDED_TEXT, "to": NEEDED_TEXT, "in_service": IN_SERVICE}
SECTIONS: Mapping[str, Fields] = {
    "buses": {
        "name": NEEDED_TEXT,
        "v_kv": NEEDED_NUMBER,
        "v_min_pu": (NUMBER, 0.9),
        "v_max_pu": (NUMBER, 1.1),
        "area": (TEXT, ""),
        "start_v_pu": UNKNOWN,
        "start_deg": UNKNOWN,
    },
    "branches": {
        **ENDS,
        "kind": (TEXT, "line"),
        "r_ohm": NEEDED_NUMBER,
        "x_ohm": NEEDED_NUMBER,
        "g_us": ZERO,
        "b_us": ZERO,
        "tap": (NUMBER, 1.0),
        "shift_deg": ZERO,
        "rating_a": (LIMIT, None),
        "rating_from_a": (LIMIT, None),
        "rating_to_a": (LIMIT, None),
    },
    "transformers": {
        **ENDS,
        **dict.fromkeys(("sn_mva", "v_from_kv", "v_to_kv", "vk_percent", "vkr_percent"), NEEDED_NUMBER),
        **dict.fromkeys(("pfe_kw", "i0_percent", "tap_percent", "shift_deg"), ZERO),
    },
    "shunts": {"bus": NEEDED_TEXT, "g_us": ZERO, "b_us": ZERO, "branch": (TEXT, "")},
    "sources": {"name": NEEDED_TEXT, "bus": NEEDED_TEXT, "v_pu": (NUMBER, 1.0), "angle_deg": ZERO},
    "controlled": {
        "bus": NEEDED_TEXT,
        "v_pu": NEEDED_NUMBER,
        "q_min_var": (NUMBER, -math.inf),
        "q_max_var": (NUMBER, math.inf),
    },
    "injections": {"bus": NEEDED_TEXT, "p_w": NEEDED_NUMBER, "q_var": ZERO, "phase": (TEXT, "")},
}


@dataclass(frozen=True)
class SectionEntry:
    """One object of a section, every field present; `where`, `line` and `place` lead a reader of findings to it."""

    where: str
    line: int
    place: str
    values: Mapping[str, Any]

    def finding(self, field: str, problem: str, expected: str) -> Finding:
        """Something wrong with a field."""
        return Finding(self.where, self.line, f"{self.place}{field}", problem, expected)


def checked(item: Mapping[str, Any], section: str, entry: SectionEntry, errors: list[Finding]) -> SectionEntry | None:
    """The entry with the values of `item`, where it can be named at all; what is wrong goes to `errors`."""
    fields = SECTIONS[section]
    errors.extend(_field_errors(item, fields, entry))
    values = {key: _value(item, key, *fields[key]) for key in fields}
    complete = all(values[key] for key in ENDS_AND_NAMES & fields.keys())
    return SectionEntry(entry.where, entry.line, entry.place, values) if complete else None


def rows_of(entries: Mapping[str, list[SectionEntry]], errors: list[Finding]) -> GridRows:
    """The rows of all sections."""
    voltages = {entry.values["name"]: entry.values["v_kv"] for entry in entries["buses"]}
    branches = [_branch(entry, errors) for entry in entries["branches"]]
    branches += _transformers(entries["transformers"], voltages, errors)
    return GridRows(
        tuple(BusRow(**entry.values) for entry in entries["buses"]),
        tuple(branches),
        tuple(ShuntRow(**entry.values) for entry in entries["shunts"]),
        tuple(SourceRow(**entry.values) for entry in entries["sources"]),
        tuple(InjectionRow(**entry.values) for entry in entries["injections"]),
        tuple(ControlledRow(**entry.values) for entry in entries["controlled"]),
    )


def _value(item: Mapping[str, Any], key: str, kind: str, default: object) -> Any:
    """The field, its default, or where neither will do NaN or an empty text, so that reading goes on."""
    if key in item and _is(kind, item[key]):
        return _float(item[key])
    if default != REQUIRED:
        return default
    return "" if kind == TEXT else math.nan


def _field_errors(item: Mapping[str, Any], fields: Fields, entry: SectionEntry) -> Iterator[Finding]:
    label = f" of {item['name']!r}" if isinstance(item.get("name"), str) else ""
    for key in item.keys() - fields.keys():
        yield entry.finding(key, f"unknown field{label}", ", ".join(fields))
    for key, (kind, default) in fields.items():
        if key not in item and default == REQUIRED:
            yield entry.finding(key, f"missing{label}", kind)
        elif key in item and not _is(kind, item[key]):
            yield entry.finding(key, f"{item[key]!r}{label}", kind)


def _is(kind: str, value: object) -> bool:
    if kind == TEXT:
        return isinstance(value, str)
    if kind == FLAG:
        return isinstance(value, bool)
    if value is None:
        return kind == LIMIT
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _float(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _branch(entry: SectionEntry, errors: list[Finding]) -> BranchRow:
    values = dict(entry.values)
    both = values.pop("rating_a")
    ends = [values.pop("rating_from_a"), values.pop("rating_to_a")]
    if both is not None and ends != [None, None]:
        errors.append(entry.finding("rating_a", "stated twice", "rating_a or one rating per end"))
    limits = [math.nan if limit is None else limit for limit in ([both, both] if both is not None else ends)]
    return BranchRow(
        from_bus=values.pop("from"),
        to_bus=values.pop("to"),
        **values,
        rating_from_a=limits[0],
        rating_to_a=limits[1],
    )


def _transformers(
    entries: list[SectionEntry], voltages: Mapping[str, float], errors: list[Finding]
) -> Iterator[BranchRow]:
    for entry in entries:
        values = entry.values
        if any(isinstance(value, float) and math.isnan(value) for value in values.values()):
            continue
        wrong = [key for key in ("sn_mva", "v_from_kv", "v_to_kv", "vk_percent") if not values[key] >= SMALLEST]
        wrong += [key for key, value in values.items() if isinstance(value, float) and abs(value) > LARGEST]
        wrong += ["vkr_percent"] * (not 0 <= values["vkr_percent"] <= values["vk_percent"])
        for key in wrong:
            problem = f"{values[key]} of {values['name']!r}" + (", a negative limit" if key == "sn_mva" else "")
            errors.append(entry.finding(key, problem, "a positive number, vkr at most vk"))
        ratio = voltages.get(values["from"], 1.0), voltages.get(values["to"], 1.0)
        if not wrong and all(v_kv > 0 for v_kv in ratio):
            yield _transformer(values, ratio[0] / ratio[1])


def _transformer(values: Mapping[str, Any], nominal_ratio: float) -> BranchRow:
    keys = ("sn_mva", "v_from_kv", "v_to_kv", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "shift_deg")
    plate = Nameplate._make([*(values[key] for key in keys), 1])
    section = pi_section(plate, stepped(1.0, values["tap_percent"]))
    return BranchRow(
        values["name"],
        "transformer",
        values["from"],
        values["to"],
        section.r_ohm,
        section.x_ohm,
        section.g_s * 1e6,
        section.b_s * 1e6,
        section.v_ratio / nominal_ratio,
        section.shift_deg,
        plate.sn_mva * 1e3 / (math.sqrt(3.0) * plate.vn_hv_kv),
        plate.sn_mva * 1e3 / (math.sqrt(3.0) * plate.vn_lv_kv),
        values["in_service"],
    )
