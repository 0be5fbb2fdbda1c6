"""Days that tried to take money or credit for nothing, each with its right value, through the public path.

Origin: made while trying what people report of other markets; `field/` has the scenario folders.
"""

import csv
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flexpeer.bootstrap import run_folder
from flexpeer.errors import BadInput

FIELD = Path(__file__).parent / "field"


class Done(NamedTuple):
    """A finished day as its files have it."""

    result: dict[str, Any]
    out: Path

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def invoiced(self) -> dict[tuple[str, str], str]:
        """What each account is invoiced, by its kind and the organisation's name."""
        rows = (row for row in self.table("settlement.csv") if row["invoiced"])
        return {(row["account_kind"], row["organisation"]): row["invoiced"] for row in rows}


def run(name: str, tmp_path: Path) -> Done:
    out = tmp_path / "out"
    _, result = run_folder(FIELD / name, out, lambda _done, _total: None)
    assert result["settlement_sum"] == 0
    return Done(result, out)


def test_who_is_called_clearing_is_not_paid_for_nothing(tmp_path: Path) -> None:
    """2 MW for 2 h at 200 and not moved: 800 go to the DSO; the fees of 4 MWh at 5 from both sides to their account."""
    done = run("money-named-clearing", tmp_path)
    assert done.invoiced == {
        ("fees", ""): "40",
        ("organisation", "A"): "-820",
        ("organisation", "Grid"): "800",
        ("organisation", "clearing"): "-20",
    }
    assert done.result["clearing_balance"] == 0
    assert {row["delivered_w"] for row in done.table("deliveries.csv")} == {"0"}


def test_who_is_called_market_operator_gets_no_fees(tmp_path: Path) -> None:
    done = run("money-named-operator", tmp_path)
    assert done.invoiced == {
        ("fees", ""): "40",
        ("organisation", "A"): "-820",
        ("organisation", "market operator"): "780",
    }


def test_doing_nothing_has_no_ratio(tmp_path: Path) -> None:
    """18 MWh stay curtailed and are worth 420 per MWh; nothing was traded, so there is nothing to compare."""
    kpi = run("money-no-trade-kpi", tmp_path).result["kpi"]
    assert set(kpi["cost_vs_grid_alternative"].values()) == {None}
    assert set(kpi["saving"].values()) == {None}
    assert set(kpi["null_reasons"]) == set(kpi["alternative_cost"]) == set(kpi["saving"])
    assert set(kpi["null_reasons"].values()) == {"nothing was traded or bought"}
    assert (kpi["still_curtailed_mwh"], kpi["still_curtailed_cost"]) == (18, 18 * 420)
    assert {costs["dso"] for costs in kpi["cost_by_perspective"].values()} == {18 * 420}


def test_a_forecast_is_within_the_range(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        run("money-over-forecast", tmp_path)
    assert [(each.where, each.line, each.field) for each in refused.value.findings] == [
        ("forecast.csv", 12, "p_w"),
        ("forecast.csv", 13, "p_w"),
    ]
    assert refused.value.findings[0].expected == "0, or from 0 (p_min_w) to 20000000 (p_max_w)"
    assert not (tmp_path / "out").exists()


def test_who_pays_to_move_pays_though_it_did_not(tmp_path: Path) -> None:
    done = run("market-negative-price-undelivered", tmp_path)
    assert done.invoiced == {("organisation", "FB"): "5", ("organisation", "FS"): "-5"}
    assert [row["payable_percent"] for row in done.table("deliveries.csv")] == ["0"]


def test_opposite_sales_are_two_deliveries(tmp_path: Path) -> None:
    """R sold 1 MW DOWN and 1 MW UP, so its schedule is 0; at -1 MW it has moved DOWN and not UP."""
    done = run("market-opposite-sales-unverified", tmp_path)
    assert done.invoiced == {
        ("organisation", "DSO"): "50",
        ("organisation", "F1"): "-50",
        ("organisation", "F2"): "-50",
        ("organisation", "FR"): "50",
    }
    delivered = {row["regulation"]: row["delivered_w"] for row in done.table("deliveries.csv")}
    assert delivered == {"UP": "0", "DOWN": "1000000"}


@pytest.mark.parametrize(
    "name", ["clearing", "market operator", "fees", "withheld", "organisation", "sum", "(clearing)"]
)
def test_a_name_changes_nothing_but_the_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "renamed"
    folder.mkdir()
    for file in (FIELD / "money-named-clearing").iterdir():
        text = file.read_text(encoding="utf-8")
        if file.name in ("organisations.csv", "resources.csv"):
            text = text.replace("clearing", name)
        (folder / file.name).write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    _, result = run_folder(folder, out, lambda _done, _total: None)
    assert Done(result, out).invoiced[("organisation", name)] == "-20"
    assert Done(result, out).invoiced[("fees", "")] == "40"
