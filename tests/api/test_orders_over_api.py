"""Orders over the API: placed once however often they are sent, refused with a reason, amended, imported."""

import asyncio
import zipfile
from collections.abc import Awaitable, Callable
from decimal import Decimal
from io import BytesIO
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.spreadsheets import rows_of, workbook
from tests.api.small_service import DSO, MARKET, MILL, NORTH, Running, order, running
from tests.docs.pages import DOCS

from flexpeer.adapters.scenario_files.sent_sheets import BOUNDS
from flexpeer.api.declining import Declined
from flexpeer.api.edge import XLSX
from flexpeer.api.units import instant, megawatts, minor_units, price, utc, watts
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.quantities import PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

Story = Callable[[Running], Awaitable[None]]


def play(story: Story) -> None:
    """A story told in a service whose gate is open."""

    async def told(here: Running) -> None:
        await here.open_gate()
        await story(here)

    with running() as here:
        asyncio.run(told(here))


async def placed(here: Running, body: dict[str, Any], by: str = MILL, **headers: str) -> httpx.Response:
    async with here.client(by) as client:
        return await client.post("/api/Orders", json=body, headers=headers)


def test_an_order_is_acknowledged_and_is_the_same_however_often_it_is_sent() -> None:
    async def story(here: Running) -> None:
        first = await placed(here, order())
        assert first.status_code == 201
        told = first.json()
        assert (told["status"], told["arrival"], told["pricePoints"]) == (
            "Active",
            1,
            [{"quantity": 1, "unitPrice": 240}],
        )
        again = await placed(here, order())
        assert (again.status_code, again.content) == (200, first.content)
        keyed = await placed(here, order(None), **{"Idempotency-Key": "k1"})
        repeated = await placed(here, order(None), **{"Idempotency-Key": "k1"})
        assert (keyed.status_code, repeated.status_code) == (201, 200)
        assert keyed.content == repeated.content
        other = await placed(here, order(timeInForce="FaK"))
        assert other.status_code == 409
        assert other.json()["reason"] == "duplicate_key"
        assert len(here.day.published.placed) == 2

    play(story)


def test_a_refusal_says_why_and_what_would_have_been_accepted_and_is_repeated_for_the_same_key() -> None:
    async def story(here: Running) -> None:
        too_much = order(pricePoints=[{"quantity": 90, "unitPrice": 1}])
        refused = await placed(here, too_much, **{"Idempotency-Key": "A1"})
        problem = refused.json()
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert problem["reason"] == "outside_range"
        assert problem["accepted"] == EXPECTED[Reason.OUTSIDE_RANGE]
        events = here.day.published.state.events
        assert (await placed(here, too_much, **{"Idempotency-Key": "A1"})).content == refused.content
        assert here.day.published.state.events == events
        assert (await placed(here, order(), **{"Idempotency-Key": "A1"})).status_code == 201

    play(story)


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"pricePoints": [{"quantity": 0.0000001, "unitPrice": 1}]}, 422, "wrong_quantity_tick"),
        ({"pricePoints": [{"quantity": "NaN", "unitPrice": 1}]}, 422, "wrong_quantity"),
        ({"pricePoints": [{"quantity": 1e300, "unitPrice": 1}]}, 422, "wrong_quantity"),
        ({"pricePoints": [{"quantity": -1, "unitPrice": 1}]}, 422, "wrong_quantity"),
        ({"pricePoints": [{"quantity": 1, "unitPrice": 0.001}]}, 422, "wrong_price_tick"),
        ({"periodTo": "2026-04-21T10:30:00+02:00"}, 422, "impossible_period"),
        ({"periodFrom": "2026-02-31T10:00:00Z"}, 400, "malformed"),
        ({"periodFrom": "2026-04-21T10:00:00"}, 400, "malformed"),
        ({"flexibilityZoneId": "Nowhere"}, 422, "unknown_congestion_point"),
        ({"side": "sell"}, 400, "malformed"),
        ({"surprise": 1}, 400, "malformed"),
        ({"marketId": "2026-01-01"}, 404, "not_found"),
        ({"pricePoints": []}, 400, "malformed"),
    ],
)
def test_what_is_wrong_with_an_order(change: dict[str, Any], status: int, reason: str) -> None:
    async def story(here: Running) -> None:
        answer = await placed(here, order(**change))
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text

    play(story)


def test_before_and_after_the_gate() -> None:
    async def story(here: Running) -> None:
        early = await placed(here, order())
        assert early.json()["reason"] == "gate_not_open"

    with running() as here:
        asyncio.run(story(here))


def test_several_price_points_are_several_orders_of_one_id_and_stand_or_fall_together() -> None:
    points = [{"quantity": 1, "unitPrice": 240}, {"quantity": 0.5, "unitPrice": 260.5}]

    async def story(here: Running) -> None:
        answer = await placed(here, order(pricePoints=points))
        assert answer.status_code == 201
        assert answer.json()["pricePoints"] == points
        assert sorted(here.day.published.placed) == ["A1", "A1#2"]
        async with here.client(MILL) as client:
            assert (await client.get("/api/Orders")).json()["numberOfHits"] == 1
            assert (await client.delete("/api/Orders/A1")).status_code == 204
            gone = (await client.get("/api/Orders/A1")).json()
            assert (gone["status"], gone["completionType"]) == ("Completed", "Cancelled")
            again = await client.delete("/api/Orders/A1")
            assert (again.status_code, again.json()["reason"]) == (422, "order_not_open")
        halves = [{"quantity": 1, "unitPrice": 240}, {"quantity": 90, "unitPrice": 1}]
        refused = await placed(here, order("A2", pricePoints=halves))
        assert refused.status_code == 422
        assert here.day.published.state.orders.orders["A2"].status == "withdrawn"

    play(story)


def test_an_amendment_needs_the_order_as_it_is() -> None:
    change = {"pricePoints": [{"quantity": 0.5, "unitPrice": 240}]}

    async def story(here: Running) -> None:
        await placed(here, order())
        async with here.client(MILL) as client:
            seen = await client.get("/api/Orders/A1")
            headers = {"If-Match": seen.headers["etag"]}
            done = await client.patch("/api/Orders/A1", json=change, headers=headers)
            assert (done.status_code, done.json()["arrival"]) == (200, 1)
            assert done.json()["pricePoints"] == change["pricePoints"]
            late = await client.patch("/api/Orders/A1", json=change, headers=headers)
            assert (late.status_code, late.json()["reason"]) == (412, "changed_meanwhile")
            more = {"pricePoints": [{"quantity": 0.7, "unitPrice": 240}]}
            back = await client.patch("/api/Orders/A1", json=more, headers={"If-Match": done.headers["etag"]})
            assert back.json()["arrival"] == 2
            assert (
                await client.patch("/api/Orders/A1", json={"pricePoints": [*change["pricePoints"]] * 2})
            ).status_code == 400

    play(story)


def test_a_dso_sends_the_orders_of_who_bids_through_it_and_buys_at_its_own_points() -> None:
    async def story(here: Running) -> None:
        through = await placed(here, order("T1"), by=DSO)
        assert (through.status_code, through.json()["ownerOrganizationId"]) == (201, MILL)
        buys = order("B1", side="Buy", flexibilityZoneId="Harbour")
        del buys["portfolioId"]
        own = await placed(here, buys, by=DSO)
        assert (own.status_code, own.json()["portfolioId"]) == (201, DSO)
        assert (await placed(here, {**buys, "id": "B2"}, by=NORTH)).status_code == 400
        async with here.client(DSO) as client:
            assert (await client.delete("/api/Orders/T1")).status_code == 404

    play(story)


def test_a_file_is_answered_line_by_line() -> None:
    rows = (DOCS / "examples" / "maintenance-hours" / "orders.csv").read_bytes()
    broken = rows + b"Z1,9,Dryer,SELL,2026-04-21T10:00+02:00,2026-04-21T12:00+02:00,x,1\n"

    async def story(here: Running) -> None:
        async with here.client(DSO) as client:
            address, headers = f"/api/Orders/import?marketId={MARKET}", {"Content-Type": "text/csv"}
            answer = (await client.post(address, content=broken, headers=headers)).json()
            assert (answer["accepted"], answer["refused"]) == (5, 2)
            assert [line["status"] for line in answer["items"]] == [201, 201, 201, 201, 201, 422, 400]
            assert [line["line"] for line in answer["items"]] == [2, 3, 4, 5, 6, 7, 8]
            again = (await client.post(address, content=broken, headers=headers)).json()
            assert [line["status"] for line in again["items"]] == [200, 200, 200, 200, 200, 422, 400]
            array = await client.post("/api/Orders/import", json=[order("J1"), {"side": "Sell"}])
            assert [line["status"] for line in array.json()["items"]] == [201, 400]
            wrong = await client.post(address, content=b"order,colour\n", headers=headers)
            assert wrong.status_code == 400
            assert {"colour", "resource"} <= {each["property"] for each in wrong.json()["validation-errors"]}

    play(story)


def test_a_file_amends_and_withdraws_what_is_there_and_what_came_with_it() -> None:
    head = "order,action,resource,side,from,to,quantity_w,price\n"
    period = "2026-04-21T10:00+02:00,2026-04-21T12:00+02:00"
    rows = [
        f"F1,place,Dryer,SELL,{period},1000000,240",
        f"F1,amend,Dryer,SELL,{period},500000,240",
        f"F2,,Dryer,SELL,{period},1000000,250",
        f"F2,withdraw,Dryer,SELL,{period},1000000,250",
        f"F2,withdraw,Dryer,SELL,{period},1000000,250",
        f"none,amend,Dryer,SELL,{period},1000000,250",
        f"F1,sell,Dryer,SELL,{period},1000000,250",
        f"F3,place,Dryer,SELL,{period},90000000,250",
        f"F3,withdraw,Dryer,SELL,{period},90000000,250",
    ]
    file = (head + "\n".join(rows)).encode()

    async def story(here: Running) -> None:
        address, headers = f"/api/Orders/import?marketId={MARKET}", {"Content-Type": "text/csv"}
        async with here.client(MILL) as mill, here.client(DSO) as dso, here.client(NORTH) as north:
            items = (await mill.post(address, content=file, headers=headers)).json()["items"]
            assert [line["status"] for line in items[:5]] == [201, 200, 201, 204, 422]
            assert [line["status"] for line in items[5:]] == [404, 400, 422, 404]
            assert [line["id"] for line in items[:5]] == ["F1", "F1", "F2", "F2", "F2"]
            told = (await mill.get("/api/Orders/F1")).json()
            assert told["pricePoints"] == [{"quantity": 0.5, "unitPrice": 240}]
            changes = [
                {"action": "amend", "id": "F1", "pricePoints": [{"quantity": "0.25", "unitPrice": 240}]},
                {"action": "amend", "id": "F1"},
                {"action": "withdraw", "id": "F1", "marketId": MARKET},
            ]
            for other in (dso, north):
                foreign = (await other.post("/api/Orders/import", json=changes)).json()["items"]
                assert [line["status"] for line in foreign] == [404, 400, 404]
            own = (await mill.post("/api/Orders/import", json=changes)).json()["items"]
            assert [line["status"] for line in own] == [200, 400, 204]
            assert (await mill.get("/api/Orders/F1")).json()["completionType"] == "Cancelled"

    play(story)


def test_a_workbook_is_answered_row_by_row() -> None:
    header, *rows = rows_of((DOCS / "examples" / "maintenance-hours" / "orders.csv").read_text(encoding="utf-8"))
    columns = [place for place, name in enumerate(header) if name != "arrival"]
    local = [[f"{cell[:10]} {cell[11:16]}" if "T" in cell else cell for cell in row] for row in rows]
    kilowatts = [
        [Decimal(row[at]) / 1000 if header[at] == "quantity_w" else row[at] for at in columns] for row in local
    ]
    cells: list[list[Any]] = [[{"quantity_w": "quantity_kw"}.get(header[at], header[at]) for at in columns], *kilowatts]
    first = dict(zip(cells[0], cells[1], strict=True))
    bad = [*cells, list((first | {"order": "Z1", "to": "noon", "quantity_kw": "x", "price": 1.2345}).values())]
    address, headers = f"/api/Orders/import?marketId={MARKET}", {"Content-Type": XLSX}

    async def story(here: Running) -> None:
        async with here.client(DSO) as client:

            async def sent(content: bytes) -> httpx.Response:
                return await client.post(address, content=content, headers=headers)

            answer = (await sent(workbook({"Sheet1": cells}))).json()
            assert [(line["line"], line["status"]) for line in answer["items"]] == [
                (2, 201), (3, 201), (4, 201), (5, 201), (6, 201), (7, 422),
            ]  # fmt: skip
            refused = await sent(workbook({"Sheet1": bad}))
            assert (refused.status_code, refused.json()["reason"]) == (422, "bad_file")
            assert [each["property"] for each in refused.json()["validation-errors"]] == [
                "orders.xlsx sheet Sheet1:8"
            ] * 3
            bomb = BytesIO(workbook({"Sheet1": cells}))
            with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as parts:
                parts.writestr("xl/worksheets/sheet2.xml", bytes(BOUNDS.unpacked_bytes), compresslevel=1)
            for content in (b"", b"PK\x03\x04", b"order;side", bomb.getvalue()):
                problem = await sent(content)
                assert problem.status_code == 422
                assert problem.headers["content-type"] == "application/problem+json"
                assert len(problem.json()["validation-errors"]) == 1

    play(story)


def test_lists_go_on_where_a_page_ends() -> None:
    async def story(here: Running) -> None:
        async with here.client(MILL) as client:
            small = [{"quantity": 0.01, "unitPrice": 240}]
            many = [order(f"A{number}", pricePoints=small) for number in range(7)]
            await client.post("/api/Orders/import", json=many)
            address, seen = "/api/Orders?take=3", []
            while address:
                page = (await client.get(address)).json()
                assert page["numberOfHits"] == 7
                seen += [item["id"] for item in page["items"]]
                address = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
            assert seen == [body["id"] for body in many]
            assert (await client.get("/api/Orders?side=Buy")).json()["numberOfHits"] == 0
            late = "/api/Orders?periodFrom.gte=2026-04-21T10:00:00Z"
            assert (await client.get(late)).json()["numberOfHits"] == 0
            assert (await client.get("/api/Orders?colour=red")).status_code == 400

    play(story)


@given(st.integers(-QUANTITY_LIMIT_W, QUANTITY_LIMIT_W), st.integers(-PRICE_LIMIT_MINOR, PRICE_LIMIT_MINOR))
def test_quantities_and_prices_survive_the_way_there_and_back(power_w: int, minor: int) -> None:
    assert watts(megawatts(power_w)) == power_w
    assert minor_units(price(minor)) == minor


@given(st.integers(0, 10**8))
def test_instants_survive_the_way_there_and_back(minutes: int) -> None:
    assert instant(utc(minutes), "at") == minutes


def test_an_instant_beyond_the_calendar_is_malformed() -> None:
    with pytest.raises(Declined):
        instant("9999-12-31T23:59:00-23:59", "at")
