"""A market of several days in its store: what days take over from the registry, restarts, back-ups."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.api.small_service import DSO, MARKET, MILL, NORTH, SCENARIO
from tests.cases.days import NoWatch
from tests.docs.pages import DOCS
from tests.market.small_market import MemoryLog

from flexpeer.adapters.store import Store, backup, restore
from flexpeer.api.service import Service
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import Day
from flexpeer.app.registry import REGISTRY, HolderKind, Life
from flexpeer.app.scenario import OrderRow, Profile
from flexpeer.errors import BadInput
from flexpeer.market.machine import Event, state_hash
from flexpeer.market.participants import Check, Command, RecordGridCheck, RecordProductCheck, RegisterResource, Resource
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.timeline import Stage
from flexpeer.market_store import Opened, make_market, open_market
from flexpeer.serving import settings_of

EXAMPLE = DOCS / "examples" / "maintenance-hours"
NEXT = "2026-04-22"
NEW = Resource("W9", NORTH, DSO, "Harbour", "wind", 0, 3_000_000)


def day_after(folder: Path) -> Path:
    """The same day, a day later."""
    folder.mkdir()
    for path in EXAMPLE.iterdir():
        text = path.read_text(encoding="utf-8").replace(MARKET, NEXT)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


@contextmanager
def opened(data: Path, *scenarios: Path, every_day: bool = False) -> Iterator[tuple[Opened, Service]]:
    data.mkdir(exist_ok=True)
    with Store.open(data) as store:
        make_market(store, data, scenarios, demo=False)
        market = open_market(store, settings_of({"data": data, "clock": "virtual", "every_day": every_day}))
        service = Service(
            market.days, market.registry, market.clock, lambda: None, market.standing.renew, market.calendar
        )
        service.start()
        service.ask(lambda: None).result()
        try:
            yield market, service
        finally:
            service.stop()
            assert service.failure is None


def reach(market: Opened, service: Service, market_id: str, stage: Stage) -> None:
    at = market.days[market_id].day.instant(stage)
    service.ask(lambda: service.move_clock(max(at, service.clock.now()))).result()


def refused(market: Opened, service: Service, market_id: str, row: OrderRow) -> Reason | None:
    day = market.days[market_id].day

    def act() -> Event | None:
        events = day.market.submit(day.command(row, service.clock.now()))
        day.market.work_through()
        return events[0] if events else None

    event = service.ask(act).result()
    return event.reason if isinstance(event, CommandRefused) else None


def hashes(market: Opened | Service) -> dict[str, str]:
    return {name: state_hash(served.published.state) for name, served in market.days.items()}


def test_a_further_day_takes_over_what_the_registry_has_and_the_open_one_hears_of_it(tmp_path: Path) -> None:
    of_the_first = SCENARIO.orders[0]
    of_the_new = OrderRow("new", 1, "W9", "SELL", of_the_first.start, of_the_first.end, 1_000_000, 100)
    checked = Check(DSO, True)
    with opened(tmp_path / "market", EXAMPLE) as (market, service):
        reach(market, service, MARKET, Stage.OPEN)
        commands: list[Command] = [
            RegisterResource(NEW),
            RecordGridCheck("W9", checked),
            RecordProductCheck("W9", checked),
        ]
        service.ask(lambda: service.register(commands)).result()
        assert market.days[MARKET].published.state.participants.resources["W9"] == NEW
        assert "W9" not in market.days[MARKET].day.dso_of
        before = hashes(market)
    with opened(tmp_path / "market", EXAMPLE, day_after(tmp_path / "next")) as (market, service):
        assert hashes(market)[MARKET] == before[MARKET]
        assert sorted(market.days) == [MARKET, NEXT]
        first, second = (market.days[name].day for name in (MARKET, NEXT))
        assert ("W9" in first.dso_of, second.dso_of["W9"]) == (False, DSO)
        assert second.market.state.participants.qualified("W9", service.clock.now())
        reach(market, service, NEXT, Stage.OPEN)
        later = {"start": of_the_new.start + 1440, "end": of_the_new.end + 1440}
        row = OrderRow("new", 1, "W9", "SELL", later["start"], later["end"], 1_000_000, 100)
        assert refused(market, service, NEXT, row) is Reason.NO_IMPACT
        reach(market, service, NEXT, Stage.SETTLED)
        after = hashes(market)
    with opened(tmp_path / "market") as (market, _):
        assert hashes(market) == after


def test_days_side_by_side_end_as_each_alone(tmp_path: Path) -> None:
    alone = Day(SCENARIO, MemoryLog(), NoWatch()).run()
    with opened(tmp_path / "market", EXAMPLE, day_after(tmp_path / "next")) as (market, service):
        for market_id in (MARKET, NEXT):
            reach(market, service, market_id, Stage.OPEN)
            if market_id == MARKET:
                for row in SCENARIO.orders:
                    day = market.days[MARKET].day
                    service.ask(lambda row=row, day=day: day.place(row)).result()  # type: ignore[misc]
        assert market.days[NEXT].day.market.owners is not None
        reach(market, service, NEXT, Stage.SETTLED)
        assert hashes(market)[MARKET] == alone.state_hash
        assert [served.day.market.owners for served in market.days.values()] == [None, None]


def test_a_restored_market_is_the_market_and_accepts_orders(tmp_path: Path) -> None:
    row = SCENARIO.orders[0]
    said = Contribution(resource_forecast={"N1": Profile((9_000_000,) * 24, (0,) * 24)})
    with opened(tmp_path / "market", EXAMPLE) as (market, service):
        served = market.days[MARKET]
        service.ask(lambda: served.revise(DSO, said)).result()
        reach(market, service, MARKET, Stage.OPEN)
        assert refused(market, service, MARKET, row) is None
        backup(tmp_path / "market", tmp_path / "file")
        before, accounts = hashes(market), market.registry.published.accounts
    restore(tmp_path / "file", tmp_path / "restored")
    with opened(tmp_path / "restored") as (market, service):
        assert hashes(market) == before
        assert market.days[MARKET].said == {DSO: said}
        assert market.registry.published.accounts == accounts
        assert market.clock.now() == market.days[MARKET].day.instant(Stage.OPEN)
        assert refused(market, service, MARKET, SCENARIO.orders[1]) is None
        assert refused(market, service, MARKET, row) is None
        assert len(market.days[MARKET].published.placed) == 2


def test_the_registrys_log_is_a_chain_of_its_own_and_knows_who_may_act(tmp_path: Path) -> None:
    with opened(tmp_path / "market", EXAMPLE) as (market, _):
        registered = market.registry.published
        assert registered.rulebook == SCENARIO.rulebook
        assert {each.resource for each in SCENARIO.resources} == set(registered.participants.resources)
        kinds = [account.kind for account in registered.accounts.values() if account.organisation == MILL]
        assert sorted(kinds) == [HolderKind.CLIENT, HolderKind.USER]
        invited = [a for a in registered.accounts.values() if a.life is Life.INVITED]
        assert [account.account for account in invited] == ["operator"]
    with Store.open(tmp_path / "market") as store:
        assert store.days() == (MARKET, REGISTRY)
        assert len(list(store.records(REGISTRY))) == store.log(REGISTRY).n > 20


def test_a_day_of_strangers_is_refused_with_their_names(tmp_path: Path) -> None:
    with opened(tmp_path / "market", EXAMPLE):
        pass
    other = day_after(tmp_path / "next")
    with (other / "organisations.csv").open("a", encoding="utf-8") as file:
        file.write("Stranger,FSP,\n")
    with pytest.raises(BadInput, match="Stranger is none of this market's"), opened(tmp_path / "market", other):
        pass


def test_every_day_follows_the_one_before_and_is_there_again_after_a_restart(tmp_path: Path) -> None:
    points = SCENARIO.congestion_points or ()
    said = Contribution(
        resource_forecast={"N1": Profile((9_000_000,) * 24, (0,) * 24)},
        points=tuple(replace(point, limit_w=9_000_000) for point in points),
        replaced=tuple(point.congestion_point for point in points),
    )
    with opened(tmp_path / "market", EXAMPLE, every_day=True) as (market, service):
        served = market.days[MARKET]
        service.ask(lambda: served.revise(DSO, said)).result()
        assert list(service.days) == [MARKET]
        opens = served.day.instant(Stage.OPEN)
        service.ask(lambda: service.move_clock(opens)).result()
        assert list(service.days) == [MARKET, NEXT]
        service.ask(lambda: service.move_clock(opens + 3 * 1440)).result()
        assert list(service.days) == [MARKET, NEXT, "2026-04-23", "2026-04-24", "2026-04-25"]
        stages = [day.published.state.stages.stage for day in service.days.values()]
        assert stages == [Stage.DELIVERED, Stage.CONFIRMED, Stage.CONFIRMED, Stage.OPEN, Stage.ANNOUNCED]
        follower = service.days["2026-04-24"]
        assert follower.said == {DSO: said.lasting()}
        assert follower.day.scenario.plans_w() == SCENARIO.plans_w()
        assert dict(follower.published.state.needs.points)[points[0].congestion_point].limit_w == (9_000_000,) * 24
        later = 3 * 1440
        row = replace(SCENARIO.orders[0], start=SCENARIO.orders[0].start + later, end=SCENARIO.orders[0].end + later)
        service.ask(lambda: follower.day.place(row)).result()
        assert row.order in follower.day.market.state.orders.orders
        before = hashes(service)
    with opened(tmp_path / "market") as (market, service):
        assert hashes(service) == before
        service.ask(lambda: service.move_clock(opens + 9 * 1440)).result()
        assert len(service.days) == 5
    with opened(tmp_path / "market", every_day=True) as (market, service):
        assert len(service.days) == 11
