"""The stream of the public book is the public book, at any moment, and names nobody."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
from tests.api.live_server import client_of, listening
from tests.api.small_service import MARKET, MILL, NORTH, SOUTH, order

from flexpeer.market.timeline import Stage


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
