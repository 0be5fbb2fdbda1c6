"""A day with meter readings, through the program: delivery verified, pay withheld, a revision, and a log to replay."""

import csv
from pathlib import Path

from tests.adapters.scenario_folder import FORECAST_MW, HOURS, folder_of, swap_hour
from tests.cli.program import flexpeer


def metered(folder: Path) -> Path:
    """Everyone at its forecast all day, at noon too: nobody who was ordered to move delivers anything."""
    rows = [f"{name},{hour},{power}000000" for name, power in FORECAST_MW.items() for hour in HOURS]
    texts = {**swap_hour(), "meter.csv": "\n".join(["resource,from,p_w", *rows]) + "\n"}
    return folder_of(texts, folder)


def test_nobody_is_paid_for_what_was_not_delivered(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = flexpeer("run", metered(tmp_path / "scenario"), "--out", out, "--json").object
    assert result["trades"] > 0
    assert result["kpi"]["delivered_of_ordered"] < 1.0
    assert result["settlement_sum"] == 0
    with (out / "settlement.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    withheld = sum(float(row["amount"]) for row in rows if row["kind"] == "withheld")
    assert withheld > 0
    assert any(row["kind"] == "invoice 2" for row in rows)
    replayed = flexpeer("replay", out / "events.log", "--json").object
    assert replayed["state_hash"] == result["state_hash"]
