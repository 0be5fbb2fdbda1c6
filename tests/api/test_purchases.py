"""What a DSO pays at most counts in the clearing; lists by what changed; how the service is."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
from tests.api.small_service import DSO, MARKET, MILL, NORTH, OPERATOR, OTHER_DSO, SCENARIO, Running, order, running

from flexpeer.market.rulebook import DsoPurchase
from flexpeer.market.timeline import Stage

BUYING = replace(SCENARIO.rulebook, dso_purchase=DsoPurchase.AUTOMATIC)
NOBODY_OWES = tuple(replace(each, conditional=False) for each in SCENARIO.resources)
AUTOMATIC = replace(SCENARIO, rulebook=BUYING, resources=NOBODY_OWES)
PURCHASE = f"/api/Purchase?marketId={MARKET}"
Story = Callable[[Running], Coroutine[Any, Any, None]]


def play(story: Story) -> None:
    with running(scenario=AUTOMATIC) as here:
        asyncio.run(story(here))


def test_the_clearing_pays_no_more_than_a_dso_states_and_only_until_the_gate() -> None:
    async def story(here: Running) -> None:
        async with here.client(DSO) as dso:
            await here.open_gate()
            before = (await dso.get(PURCHASE)).json()
            point = before["points"][0]["flexibilityZoneId"]
            assert (before["open"], before["most"], before["points"][0]["ceiling"]) == (True, 2800, 2800)
            dear = {"ceilings": [{"flexibilityZoneId": point, "unitPrice": "2800.01"}]}
            strange = {"ceilings": [{"flexibilityZoneId": "nowhere", "unitPrice": "1"}]}
            for wrong in (dear, strange):
                answer = await dso.put(PURCHASE, json=wrong)
                assert (answer.status_code, len(answer.json()["validation-errors"])) == (400, 1)
            stated = {"ceilings": [{"flexibilityZoneId": point, "unitPrice": "123.45"}]}
            told = (await dso.put(PURCHASE, json=stated)).json()["points"][0]
            assert (told["ceiling"], told["stated"]) == (123.45, True)
            async with here.client(MILL) as mill:
                assert (await mill.post("/api/Orders", json=order("A", "Dryer", "Sell"))).status_code == 201
            await here.move(Stage.CLEARED)
            bids = {o.price_minor for o in here.day.published.state.orders.orders.values() if o.residual}
            assert bids == {12345}
            assert (await dso.put(PURCHASE, json=stated)).json()["reason"] == "too_late"
            after = (await dso.get(PURCHASE)).json()["points"][0]
            mine = [t for t in here.day.published.state.trades.trades.values() if t.buyer == DSO]
            assert Decimal(str(after["amount"])) * 100 * 60 * 1_000_000 == sum(t.amount(60) for t in mine)
        async with here.client(OTHER_DSO) as other:
            assert (await other.get(PURCHASE)).json()["points"] == []
        async with here.client(NORTH) as fsp:
            assert (await fsp.get(PURCHASE)).status_code == 403

    play(story)


def test_orders_follow_by_what_changed_and_the_newest_may_come_first() -> None:
    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as mill, here.client(NORTH) as north:
            for number in range(4):
                point = {"quantity": "0.1", "unitPrice": 900 + number}
                await mill.post("/api/Orders", json=order(f"M{number}", "Dryer", "Sell", pricePoints=[point]))
            seen = (await mill.get(f"/api/Markets/{MARKET}")).json()["events"]
            several = [{"quantity": "0.1", "unitPrice": 950}, {"quantity": "0.1", "unitPrice": 960}]
            await mill.post("/api/Orders", json=order("M4", "Dryer", "Sell", pricePoints=several))
            await mill.delete("/api/Orders/M1")
            changed = f"/api/Orders?marketId={MARKET}&changedAfter={seen}"
            assert [each["id"] for each in (await mill.get(changed)).json()["items"]] == ["M1", "M4"]
            assert (await north.get(changed)).json()["numberOfHits"] == 0
            newest = (await mill.get(f"/api/Orders?marketId={MARKET}&newest=true&take=2")).json()
            assert [each["id"] for each in newest["items"]] == ["M4", "M3"]
            assert "newest=true" in newest["links"][0]["href"]
            assert (await mill.get(f"/api/Orders?changedAfter={seen}")).status_code == 400
            assert "stateHash" not in (await mill.get("/api/Markets?hash=false")).json()["items"][0]

    play(story)


def test_whoever_runs_the_service_sees_how_it_is() -> None:
    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(OPERATOR) as operator, here.client(NORTH) as north, here.client(MILL) as mill:
            await mill.post("/api/Orders", json=order("A", "Dryer", "Sell"))
            await north.post("/api/Orders", json=order("B", "N1", "Buy"))
            while (await operator.get(f"/api/Markets/{MARKET}/line?wait=5")).json()["line"]:
                pass
            told = (await operator.get("/api/Health")).json()
            (owner,) = [each for each in told["owners"] if each["dso"] == DSO]
            assert (owner["answers"], owner["silent"], owner["hasGrid"]) == (1, False, False)
            assert (told["problems"], told["late"], told["queue"]) == ([], [], 0)
            assert told["store"]["kind"] == "memory"
            assert told["store"]["syncs"] > 0
            assert (await north.get("/api/Health")).status_code == 403

    play(story)
