"""The stream of the public book is the public book, at any moment, and names nobody."""

import asyncio
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
from tests.api.live_server import client_of, listening
from tests.api.small_service import MARKET, MILL, NORTH, SOUTH, Running, order, running

from flexpeer.api.documents import public_order
from flexpeer.market.orders import Status
from flexpeer.market.timeline import Stage
from flexpeer.wire.api import PublicOrderDocument


def told(lines: Iterator[str]) -> Any:
    """The next change of the book."""
    for line in lines:
        if line.startswith("data: "):
            return json.loads(line[6:])
    raise AssertionError("the stream ended")


class Follower:
    """What somebody knows who only follows."""

    def __init__(self, answer: httpx.Response) -> None:
        self.lines, self.orders = answer.iter_lines(), dict[int, Any]()

    def hear(self) -> None:
        change = told(self.lines)
        if change["whole"]:
            self.orders.clear()
        self.orders |= {each["key"]: each["order"] for each in change["orders"]}
        for key in change.get("gone", []):
            del self.orders[key]


def test_whoever_follows_the_book_knows_it() -> None:
    with listening() as (here, url), client_of(here, url, SOUTH) as south:
        mill, north = client_of(here, url, MILL), client_of(here, url, NORTH)
        here.service.ask(lambda: here.service.move_clock(here.day.day.instant(Stage.OPEN))).result()
        mill.post("/api/Orders", json=order("early"))
        with south.stream("GET", f"/api/PublicOrders/stream?marketId={MARKET}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            follower = Follower(answer)
            follower.hear()
            assert len(follower.orders) == 1
            mill.post("/api/Orders", json=order("second", pricePoints=[{"quantity": 0.5, "unitPrice": 260}]))
            while len(follower.orders) < 2:
                follower.hear()
            mill.patch("/api/Orders/second", json={"pricePoints": [{"quantity": 0.4, "unitPrice": 270}]})
            while [each["unitPrice"] for each in follower.orders.values()] != [240, 270]:
                follower.hear()
            bought = order("buy", "N1", "Buy", pricePoints=[{"quantity": 1, "unitPrice": 250}])
            assert north.post("/api/Orders", json=bought).status_code == 201
            while len(follower.orders) != 1:
                follower.hear()
            known = south.get("/api/PublicOrders").json()["items"]
            assert list(follower.orders.values()) == known
            text = json.dumps(list(follower.orders.values()))
            assert not any(name in text for name in (MILL, NORTH, "Dryer", "second"))
            assert mill.delete("/api/Orders/second").status_code == 204
            while follower.orders:
                follower.hear()
        mill.close()
        north.close()


def test_the_book_that_is_folded_is_the_book_as_it_is() -> None:
    """Against every open order of the state by its number, whenever one looks: some come, change, lose their place."""
    chance = random.Random(7)

    async def story(here: Running) -> None:
        await here.open_gate()
        names: list[str] = []
        async with here.client(MILL) as mill:
            for number in range(60):
                some = chance.choice(names) if names else ""
                points = [{"quantity": chance.choice((0.1, 0.2)), "unitPrice": chance.choice((240, 250))}]
                match chance.choice(("place", "place", "amend", "withdraw")) if some else "place":
                    case "place":
                        names.append(f"o{number}")
                        await mill.post("/api/Orders", json=order(names[-1], pricePoints=points))
                    case "amend":
                        await mill.patch(f"/api/Orders/{some}", json={"pricePoints": points})
                    case "withdraw":
                        await mill.delete(f"/api/Orders/{some}")
                if chance.random() < 0.3:
                    assert list(here.day.book.documents().values()) == obvious(here)
        assert len(obvious(here)) > 3
        assert list(here.day.book.documents().values()) == obvious(here)

    with running() as here:
        asyncio.run(story(here))


def obvious(here: Running) -> list[PublicOrderDocument]:
    state = here.day.published.state
    still = sorted((o for o in state.orders.orders.values() if o.status is Status.OPEN), key=lambda each: each.number)
    return [public_order(MARKET, state, each) for each in still]
