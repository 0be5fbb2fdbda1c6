"""A day played again as it went: orders amended and withdrawn on the way. Worked by hand."""

from pathlib import Path

from tests.adapters.scenario_folder import NOON, ONE, folder_of, swap_hour
from tests.cases.test_market_field import traded
from tests.cases.test_money_field import Done

from flexpeer.bootstrap import audit, run_folder

HOUR = f"{NOON},{ONE}"
DAY = swap_hour()
DAY["resources.csv"] = DAY["resources.csv"].replace("W3,Vind", "W3,Flex")
ORDERS = f"""order,arrival,resource,side,from,to,quantity_w,price,action
A,1,W3,SELL,{HOUR},10000000,250,
B,2,BESS,SELL,{HOUR},3000000,300,place
A,3,,,,,,310,amend
B,4,,,,,2000000,,AMEND
C,5,W1,BUY,{HOUR},8000000,420,place
D,6,Boiler,SELL,{HOUR},5000000,180,place
D,7,,,,,,,withdraw
E,8,W2,BUY,{HOUR},6000000,300,place
E,9,,,,,,310,amend
D,10,,,,,,,withdraw
C,11,,,,,9000000,,amend
"""


def test_a_day_goes_as_its_rows_say(tmp_path: Path) -> None:
    """C takes 2 MW of B at 300, then 6 of A at 310; D is gone when E comes, and E pays 310 for the last 4 of A.

    D cannot be withdrawn twice, and C has traded whole when it would have more.
    """
    out = tmp_path / "out"
    folder = folder_of(DAY | {"orders.csv": ORDERS}, tmp_path / "scenario")
    _, result = run_folder(folder, out, lambda _done, _total: None)
    done = Done(result, out)
    assert traded(done) == [
        ("C", "B", 2_000_000, 2_000_000, "300"),
        ("C", "A", 6_000_000, 6_000_000, "310"),
        ("E", "A", 4_000_000, 4_000_000, "310"),
    ]
    refused = [(row["order"], row["reason"]) for row in done.table("refusals.csv") if row["reason"] != "grid_limit"]
    assert refused == [("D", "order_not_open"), ("C", "order_not_open")]
    told = {row["order"]: row for row in done.table("orders.csv")}
    assert [(row["order"], row["arrival"]) for row in told.values()] == [
        ("A", "1"), ("B", "2"), ("C", "5"), ("D", "6"), ("E", "8"),
    ]  # fmt: skip
    assert {name: (row["status"], row["filled_w"], row["left_w"], row["trades"]) for name, row in told.items()} == {
        "A": ("filled", "10000000", "0", "2"),
        "B": ("filled", "2000000", "0", "1"),
        "C": ("filled", "8000000", "0", "2"),
        "D": ("withdrawn", "0", "5000000", "0"),
        "E": ("partly", "4000000", "2000000", "1"),
    }
    assert result["orders"] == 5
    assert result["orders_refused"] == 2
    assert audit(out / "events.log")[2] == []


def test_changes_come_before_what_they_change_for_nobody(tmp_path: Path) -> None:
    """With the same rows but A's amendment, A is first at 250, as on the day of `swap_hour`."""
    out = tmp_path / "out"
    texts = DAY | {"orders.csv": ORDERS.replace("A,3,,,,,,310,amend\n", "")}
    _, result = run_folder(folder_of(texts, tmp_path / "scenario"), out, lambda _done, _total: None)
    assert traded(Done(result, out))[0] == ("C", "A", 8_000_000, 8_000_000, "250")
