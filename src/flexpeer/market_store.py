"""A live market in its store: made once from a scenario, and all of it opened from there again.

Everything is in the store, scenario folders file by file too, so that a backup is the whole market.
"""

import base64
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.folders import write_private
from flexpeer.adapters.gridfiles.grid_file import GridFile
from flexpeer.adapters.scenario_files.layouts import ORDERS
from flexpeer.adapters.store import Store
from flexpeer.api.accounts import AccountHolder, Credentials, Doorkeeper, Login, accounts_of, new_accounts
from flexpeer.api.clocks import Clock, SystemClock, VirtualClock
from flexpeer.api.service import Said, ServedDay
from flexpeer.api.settings import ClockKind, ServiceSettings
from flexpeer.api.standing import KeptStanding, Standing
from flexpeer.api.webhooks import Kept, Webhooks
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import Day
from flexpeer.app.following_day import following
from flexpeer.app.registration import organisations_of, registrations
from flexpeer.app.registry import (
    REGISTRY,
    AdoptRulebook,
    KeepAccount,
    Life,
    MarketAccount,
    Rank,
    Registry,
    beginning,
    takes_over,
)
from flexpeer.app.scenario import OrderRow, Scenario
from flexpeer.bootstrap import NewtonVerifier, StageWatch, contributed, read_whole, write_demo
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.market.machine import State
from flexpeer.market.participants import Organisation, RegisterOrganisation, Role
from flexpeer.market.timeline import Stage
from flexpeer.periods import MarketDay, parse_instant
from flexpeer.simulation.arrivals import spread

CREDENTIALS = "credentials.json"
ACCOUNTS, TOKEN_KEY, OPERATOR_KEY, CLOCK, WEBHOOKS = "accounts", "token-key", "operator-key", "clock", "webhooks"
STANDING = "standing-orders"
COMING, SAID, SCENARIO, SCENARIOS, FOLLOWING = "coming", "said/", "scenario", "scenario/", "following/"
NOTICE_MINUTES = 24 * 60
"""How long before its gate opens a day that follows another is announced, so that DSOs can say what is of it."""
OPERATOR = "Market operator"
KEY_BYTES = 32
T = TypeVar("T")


class Opened(NamedTuple):
    """A market as a service needs it."""

    days: dict[str, ServedDay]
    registry: Registry
    doorkeeper: Doorkeeper
    clock: Clock
    webhooks: Webhooks
    standing: Standing
    token_key: bytes
    calendar: "EveryDay | None"


def make_market(store: Store, data: Path, scenarios: Sequence[Path], *, demo: bool) -> str | None:
    """A new market if there is none yet, and each scenario's day if it has none yet.

    The word of a one-time link for the market operator's first person where a market was made. Accounts are kept last,
    and then it is made.
    """
    if store.document(ACCOUNTS) is not None:
        _add_days(store, data, scenarios)
        return None
    if not scenarios and not demo:
        expected = "a folder with one, or --scenario FOLDER (or --demo) to make one"
        raise bad_input(str(data), "there is no market here", expected, field="--data")
    with tempfile.TemporaryDirectory() as scratch:
        folder = scenarios[0] if scenarios else Path(scratch) / SCENARIO
        if not scenarios:
            write_demo(folder)
        read, _ = read_whole(folder, () if demo else (ORDERS,))
        _keep_folder(store, read, folder)
    if demo:
        store.keep_document(COMING, msgspec.json.encode(read.orders).decode())
    for name in (TOKEN_KEY, OPERATOR_KEY):
        store.keep_document(name, secrets.token_hex(KEY_BYTES))
    holders = _holders(read)
    credentials, logins = new_accounts(holders)
    _write_credentials(data / CREDENTIALS, logins)
    registry = Registry(store.log(REGISTRY))
    registry.fill([AdoptRulebook(read.rulebook), *organisations_of(read)])
    registry.fill(RegisterOrganisation(Organisation(each.name, each.role)) for each in holders)
    registry.fill(accounts_of(logins))
    word, credentials = _first_link(registry, credentials, holders)
    registry.commit()
    store.keep_document(ACCOUNTS, msgspec.json.encode(credentials).decode())
    _add_days(store, data, scenarios[1:])
    return word


def _first_link(
    registry: Registry, credentials: Credentials, holders: Sequence[AccountHolder]
) -> tuple[str, Credentials]:
    """A one-time link for a person of the market operator."""
    kept = [credentials]
    name = next(each.name for each in holders if each.role is Role.MARKET_OPERATOR)
    user = f"operator of {name}" if "operator" in registry.state.accounts else "operator"
    registry.fill([KeepAccount(MarketAccount(user, name, Rank.OWNER, life=Life.INVITED))])
    word = Doorkeeper(registry, credentials, secrets.token_bytes(KEY_BYTES), kept.append).invite(user)
    return word, kept[-1]


def _add_days(store: Store, data: Path, scenarios: Sequence[Path]) -> None:
    """Days of further scenarios; a day that is there stays as it is."""
    _adopt_old_folder(store, data)
    people, known = Registry(store.log(REGISTRY)).state.participants, _days(store)
    for folder in scenarios:
        read, _ = read_whole(folder, (ORDERS,))
        if str(read.day.delivery_day) in known:
            continue
        strangers = [
            Finding(
                str(folder / "organisations.csv"), 0, "organisation", f"{each.organisation} is none of this market's",
                "organisations of the market; POST /api/Organizations registers another",
            )
            for each in read.organisations
            if each.organisation not in people.organisations
        ]  # fmt: skip
        if strangers:
            raise BadInput(strangers)
        _keep_folder(store, read, folder)


def _adopt_old_folder(store: Store, data: Path) -> None:
    """A market made before its scenario was kept in the store."""
    if not _days(store) and (data / SCENARIO).is_dir():
        read, _ = read_whole(data / SCENARIO, (ORDERS,))
        _keep_folder(store, read, data / SCENARIO)


def _days(store: Store) -> list[str]:
    """The delivery days whose scenarios are kept, and those that follow them."""
    following_days = (name.removeprefix(FOLLOWING) for name in store.document_names(FOLLOWING))
    return sorted({*following_days, *(name.split("/")[1] for name in store.document_names(SCENARIOS))})


def _keep_folder(store: Store, scenario: Scenario, folder: Path) -> None:
    """All of a scenario but its orders."""
    private, prefix = (ORDERS.file, f"{ORDERS.table}.xlsx"), f"{SCENARIOS}{scenario.day.delivery_day}/"
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in private:
            name = prefix + path.relative_to(folder).as_posix()
            store.keep_document(name, base64.b64encode(path.read_bytes()).decode())


@contextmanager
def _folder(store: Store, market_id: str) -> Iterator[Path]:
    """A scenario's folder, while it is read."""
    prefix = f"{SCENARIOS}{market_id}/"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / SCENARIO
        for name, content in store.documents(prefix).items():
            path = folder / name.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(content))
        yield folder


def _holders(scenario: Scenario) -> list[AccountHolder]:
    """Everybody in the scenario, and a market operator if it has none."""
    holders = [AccountHolder(each.organisation, Role(each.role)) for each in scenario.organisations]
    if not any(each.role is Role.MARKET_OPERATOR for each in holders):
        holders.append(AccountHolder(OPERATOR, Role.MARKET_OPERATOR))
    return holders


def _write_credentials(path: Path, logins: dict[str, Login]) -> None:
    path.unlink(missing_ok=True)
    content = {"organisations": logins}
    write_private(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def open_market(store: Store, settings: ServiceSettings) -> Opened:
    """All of a market from its store."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_text(store, OPERATOR_KEY)))
    store.sign_with(Ed25519Signatures(key, {}))
    registry = Registry(store.log(REGISTRY))
    days = {market_id: _served(store, market_id, registry) for market_id in _days(store)}
    registry.commit()
    clock = _clock(store, settings, [served.day for served in days.values()])
    token_key = bytes.fromhex(_text(store, TOKEN_KEY))

    def keep(now: Credentials) -> None:
        store.keep_document(ACCOUNTS, msgspec.json.encode(now).decode())

    credentials = _document(store, ACCOUNTS, Credentials)
    doorkeeper = Doorkeeper(registry, credentials, token_key, keep, settings.token_life_s)
    kept = Kept() if store.document(WEBHOOKS) is None else _document(store, WEBHOOKS, Kept)
    webhooks = Webhooks(kept, lambda now: store.keep_document(WEBHOOKS, msgspec.json.encode(now).decode()))
    known = KeptStanding() if store.document(STANDING) is None else _document(store, STANDING, KeptStanding)
    standing = Standing(known, lambda now: store.keep_document(STANDING, msgspec.json.encode(now).decode()))
    calendar = EveryDay(store, registry, days[max(days)]) if settings.every_day else None
    return Opened(days, registry, doorkeeper, clock, webhooks, standing, token_key, calendar)


class EveryDay:
    """Days that follow the last one, each made when announced, with what lasts of what DSOs said of the day before."""

    def __init__(self, store: Store, registry: Registry, last: ServedDay) -> None:
        self._store, self._registry, self._last = store, registry, last

    def _next(self) -> MarketDay:
        return self._last.day.scenario.day.later(1)

    def next_due(self) -> int:
        """When the next day is announced."""
        timeline = self._last.day.scenario.rulebook.timeline
        return dict(timeline.instants(self._next()))[Stage.OPEN] - NOTICE_MINUTES

    def make(self) -> ServedDay:
        """The next day."""
        store, last, market_id = self._store, self._last.market_id, str(self._next().delivery_day)
        for dso, contribution in self._last.said.items():
            if contribution.lasting() != Contribution():
                _keep_said(store, market_id, dso, contribution.lasting())
        store.keep_document(FOLLOWING + market_id, store.document(FOLLOWING + last) or last)
        self._last = _served(store, market_id, self._registry)
        return self._last


def _served(store: Store, market_id: str, registry: Registry) -> ServedDay:
    """The day of a scenario, with what it takes over from the registry and what its DSOs have said.

    What its own file has beyond the registry is registered.
    """
    read, opened = _read(store, market_id)
    prefix, log = f"{SAID}{market_id}/", store.log(market_id)
    people = beginning(log.read()) if log.n else registry.state.participants
    scenario = takes_over(read, people, _nodes(opened))

    def opening(listener: Callable[[Any], None], said: Said) -> Day:
        watch = StageWatch(lambda _done, _total: None)
        merged, grid = contributed(scenario, opened, said)
        return Day(merged, log, watch, grid, NewtonVerifier(), listeners=(listener,))

    known = {name.removeprefix(prefix): _document(store, name, Contribution) for name in store.documents(prefix)}
    served = ServedDay(opening, known, partial(_keep_said, store, market_id), _coming(store, scenario))
    if not log.n:
        registry.fill([AdoptRulebook(scenario.rulebook), *registrations(read, served.day.dso_of)])
    return served


def _keep_said(store: Store, market_id: str, dso: str, contribution: Contribution) -> None:
    """What a DSO says of a day outlives the program."""
    store.keep_document(f"{SAID}{market_id}/{dso}", msgspec.json.encode(contribution).decode())


def _read(store: Store, market_id: str) -> tuple[Scenario, GridFile | None]:
    """The scenario and grid of a day: its own, or those of the day that it follows."""
    given = store.document(FOLLOWING + market_id)
    with _folder(store, given or market_id) as folder:
        read, opened = read_whole(folder, (ORDERS,))
    if given is None:
        return read, opened
    return following(read, (date.fromisoformat(market_id) - read.day.delivery_day).days), opened


def _nodes(opened: GridFile | None) -> Callable[[str], bool]:
    """Whether a day's grid knows a node; without a grid file they are labels."""
    return (lambda _name: True) if opened is None else (lambda name: opened.bus_index(name) is not None)


def _coming(store: Store, scenario: Scenario) -> list[tuple[int, OrderRow]]:
    """The demo's orders, when each comes; none of a day that follows, or in any other market."""
    if store.document(COMING) is None or store.document(FOLLOWING + str(scenario.day.delivery_day)) is not None:
        return []
    instants = dict(scenario.rulebook.timeline.instants(scenario.day))
    orders = _document(store, COMING, tuple[OrderRow, ...])
    return spread(orders, instants[Stage.OPEN], instants[Stage.CLOSED])


def _clock(store: Store, settings: ServiceSettings, days: Sequence[Day]) -> Clock:
    """Real time, or a virtual clock that goes on where it was; it starts before the first gate opens."""
    if settings.clock is ClockKind.SYSTEM:
        return SystemClock()
    start = min(day.instant(Stage.OPEN) for day in days) - 1
    if settings.start is not None:
        try:
            start = parse_instant(settings.start)
        except ValueError as error:
            raise bad_input("serve", f"{settings.start}: {error}", "ISO 8601 with offset", field="--start") from error
    kept = store.document(CLOCK)
    known = max(_latest(day.market.state) for day in days)
    latest = max(known, start if kept is None else int(kept))
    return VirtualClock(latest, settings.speed, lambda instant: store.keep_document(CLOCK, str(instant)))


def _latest(state: State) -> int:
    """The latest instant that a log knows."""
    stages = (at for _, at in state.stages.at)
    return max((*stages, *(order.at for order in state.orders.orders.values())), default=0)


def _text(store: Store, name: str) -> str:
    content = store.document(name)
    if content is None:
        raise bad_input("the store", f"{name} is missing", "a store that flexpeer serve made")
    return content


def _document(store: Store, name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_text(store, name), type=kind)
    except msgspec.MsgspecError as error:
        raise bad_input("the store", f"{name}: {error}", "a store that this version wrote") from error
