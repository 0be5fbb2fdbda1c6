"""What anybody may see: the same for all, without a token, and without a name of whoever trades."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.small_service import EXTRA, MARKET, SCENARIO, Running, running
from tests.api.test_service import ORDERS, send_rows

from flexpeer.api.declining import Declined
from flexpeer.api.limits import RateLimits
from flexpeer.api.public import Public
from flexpeer.market.timeline import Stage

NAMES = {
    *(each.organisation for each in SCENARIO.organisations),
    *EXTRA,
    *(each.resource for each in SCENARIO.resources),
    *(row.order for row in SCENARIO.orders),
}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_the_public_day_names_nobody_at_any_stage_and_has_results_when_it_is_settled() -> None:
    async def story(here: Running) -> None:
        now = [0.0]
        public = Public(here.service, RateLimits(1e6, 10**6, 1), lambda: now[0])

        def seen() -> dict[str, Any]:
            now[0] += 1.0
            content = public.answer().content
            assert isinstance(content, bytes)
            document = json.loads(content)
            assert not NAMES & set(texts(document))
            (day,) = document["items"]
            return dict(day)

        assert (seen()["status"], seen()["orders"]) == ("announced", [])
        await here.open_gate()
        await send_rows(here, ORDERS[1:4])
        open_orders = [o for o in here.day.published.state.orders.orders.values() if o.remaining_w]
        assert len(seen()["orders"]) == len(open_orders) > 0
        await send_rows(here, ORDERS[4:])
        for stage in list(Stage)[3:]:
            assert "trades" not in seen()
            assert "kpi" not in seen()
            await here.move(stage)
        day = seen()
        assert (day["status"], day["id"], day["orders"]) == ("settled", MARKET, [])
        assert len(day["trades"]) == len(here.day.published.state.trades.trades) > 0
        assert day["kpi"]["cost_vs_grid_alternative"]
        assert day["rulebook"]["priority"]
        async with here.client() as nobody:
            assert (await nobody.get("/api/Public")).json()["items"][0] == day
            assert (await nobody.get("/api/PublicOrders")).status_code == 401

    with running() as here:
        asyncio.run(story(here))


def test_whoever_asks_too_often_gets_nothing_and_what_is_sent_is_made_once_a_second() -> None:
    async def story(here: Running) -> None:
        now = [0.0]
        public = Public(here.service, RateLimits(0.001, 3, 1), lambda: now[0])
        before = public.answer().content
        await here.open_gate()
        assert public.answer().content is before
        now[0] = 1.0
        assert public.answer().content != before
        with pytest.raises(Declined) as declined:
            public.answer()
        assert declined.value.problem.reason == "too_many_requests"

    with running() as here:
        asyncio.run(story(here))
