"""Names and numbers of the columns of MATPOWER's tables (MATPOWER 7 manual, appendix B)."""

from collections.abc import Mapping


def _names(listed: str) -> tuple[str, ...]:
    return tuple(listed.split())


def _numbered(*groups: tuple[int, str]) -> dict[str, int]:
    """Names to numbers, each group from its own first number, in the order the `idx_` functions return them."""
    return {name: number for first, listed in groups for number, name in enumerate(_names(listed), first)}


BUS = "BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN"
GEN = "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS"
BRANCH = "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS"

COLUMNS: Mapping[str, tuple[str, ...]] = {"bus": _names(BUS), "gen": _names(GEN), "branch": _names(BRANCH)}
"""The columns that are read, or must at least be there."""
OPTIONAL: Mapping[str, tuple[str, ...]] = {"gen": _names("PMAX PMIN")}
"""Columns that follow them and are read where a table has them and they state a number; NaN elsewhere."""

INDEX_FUNCTIONS: Mapping[str, Mapping[str, int]] = {
    "idx_bus": _numbered((1, "PQ PV REF NONE"), (1, f"{BUS} LAM_P LAM_Q MU_VMAX MU_VMIN")),
    "idx_gen": _numbered(
        (1, f"{GEN} PMAX PMIN"),
        (22, "MU_PMAX MU_PMIN MU_QMAX MU_QMIN"),
        (11, "PC1 PC2 QC1MIN QC1MAX QC2MIN QC2MAX RAMP_AGC RAMP_10 RAMP_30 RAMP_Q APF"),
    ),
    "idx_brch": _numbered(
        (1, BRANCH), (14, "PF QF PT QT MU_SF MU_ST"), (12, "ANGMIN ANGMAX"), (20, "MU_ANGMIN MU_ANGMAX")
    ),
}

NEVER_NEEDED = frozenset(
    _names(
        "version baseMVA bus gen branch dcline bus_name gencost gentype genfuel areas dclinecost A l u N H Cw "
        "fparm z0 zl zu success et om iterations order"
    )
)
"""Fields of a case that a power flow of its AC part does not need, or that are read."""

THREE_PHASE = ("bus3p", "line3p", "xfmr3p", "load3p", "gen3p", "shunt3p", "buslink")
