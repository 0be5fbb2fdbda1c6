"""A month's invoices: exact lines that add up to what was settled, for whom they are."""

import asyncio
import csv
from decimal import Decimal
from io import StringIO

from tests.api.small_service import DSO, MARKET, MILL, NORTH, OPERATOR, SCENARIO, Running, running

from flexpeer.market.timeline import Stage
from flexpeer.quantities import MONEY_PER_MINOR

MONTH = MARKET[:7]


async def settled(here: Running) -> None:
    await here.open_gate()

    def trade() -> None:
        for row in SCENARIO.orders:
            here.day.day.place(row)

    await here.service.done(trade)
    for stage in list(Stage)[3:]:
        await here.move(stage)


async def rows_of(here: Running, organisation: str) -> list[dict[str, str]]:
    async with here.client(organisation) as client:
        answer = await client.get(f"/api/Invoices.csv?month={MONTH}")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(StringIO(answer.text)))


def test_lines_add_up_to_what_was_settled_and_each_sees_its_own() -> None:
    async def walk(here: Running) -> None:
        async with here.client(OPERATOR) as client:
            assert (await client.get(f"/api/Invoices?month={MONTH}")).json()["items"] == []
        await settled(here)
        settlements = here.day.published.state.settlements
        rows = await rows_of(here, OPERATOR)
        sums: dict[tuple[str, str], Decimal] = {}
        for row in rows:
            key = row["account"], row["organisation"]
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row["amount"])
        balances = {(str(a.kind), a.organisation): Decimal(m) / 100 for a, m in settlements.balances_minor().items()}
        assert {key: amount for key, amount in sums.items() if amount} == {k: a for k, a in balances.items() if a}
        assert sum(sums.values()) == 0
        assert any(amount for amount in sums.values())
        for organisation in (MILL, NORTH, DSO):
            own = await rows_of(here, organisation)
            assert own == [row for row in rows if row["organisation"] == organisation]
        exact = sum(posting.amount for posting in settlements.postings if posting.account.organisation == MILL)
        lines = [Decimal(row["amount"]) for row in await rows_of(here, MILL) if row["kind"] != "rounding"]
        assert sum(lines) * 100 * MONEY_PER_MINOR == exact

    with running() as here:
        asyncio.run(walk(here))


def test_a_month_to_be_printed_and_a_month_without_a_day() -> None:
    async def walk(here: Running) -> None:
        await settled(here)
        async with here.client(MILL) as client:
            page = await client.get(f"/api/Invoices.html?month={MONTH}")
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.text.count("<section>") == 1
            assert MILL in page.text
            assert NORTH not in page.text
            (invoice,) = (await client.get(f"/api/Invoices?month={MONTH}")).json()["items"]
            assert f"{Decimal(str(invoice['amount'])):.2f}</th>" in page.text
            assert "No day of this month" in (await client.get("/api/Invoices.html?month=2026-05")).text
            for wrong in ("2026-13", "2026", ""):
                assert (await client.get(f"/api/Invoices?month={wrong}")).status_code == 400

    with running() as here:
        asyncio.run(walk(here))
