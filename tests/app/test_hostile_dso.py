"""Letters sent once more, and a registered DSO that answers with nonsense: the rest of the day is what it would be."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.seals import Seals, desk_of, nonce
from tests.app.split_days import RUN, LettersHere, Whole, run_split, started, trades_of
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders

from flexpeer.app.between.grant_messages import written_trial
from flexpeer.app.between.grant_node import GrantNode
from flexpeer.app.between.letters import MARKET_OPERATOR, AnsweringDesk, Desk, Dropped, Head, Letter, Sort
from flexpeer.app.between.remote_owner import Nonsense, RemoteOwner, grant_reply_in
from flexpeer.app.day_split import DsoShare, OperatorShare
from flexpeer.app.ports import OwnerSilent, Trial, Tried
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.grid.limits import Kind
from flexpeer.market.trades import Move
from flexpeer.periods import Span
from flexpeer.wire import grants

KINDS = 1_000
ODD_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e300, -1e300, 1e18, 0.0, -1.0)
ODD_INTEGERS = (-1, 0, 1, 2**31, 2**53, 2**63 - 1, -(2**63))
ODD_TEXTS = ("", "x" * 100_000, "\x1b[31m", "Cable 3", "WA", "Village 1", "Local 1", "\u202e", "[bold]")

Shares = tuple[Whole, OperatorShare, dict[str, DsoShare]]


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Shares:
    texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3)))
    texts["scenario.toml"] += '[rulebook]\nresidual = "distributed"\n'
    whole = Whole(texts, tmp_path_factory.mktemp("hostile"))
    return whole, *whole.split()


class Recorded(LettersHere):
    """Before each letter, some of another run's are sent once more to whoever they were for."""

    def __init__(self, shares: dict[str, DsoShare], old: Sequence[tuple[str, bytes]], seed: int) -> None:
        super().__init__(shares)
        self._old, self._rng = old, np.random.default_rng(seed)

    def carried(self, name: str, written: bytes) -> bytes | None:
        for at in self._rng.integers(0, len(self._old), 3):
            to, letter = self._old[at]
            if to == MARKET_OPERATOR:
                self._asking.received(letter, 0.0)
            else:
                self.desks[to].reply_to(letter)
        return super().carried(name, written)


def what_stands(outcome: DayOutcome, post: LettersHere) -> bytes:
    """Trades, refusals, schedules, and what every DSO has promised, without the run they say it was in."""
    ledgers = {name: [entry.act for entry in ledger.entries] for name, ledger in post.ledgers.items()}
    tables = {name: (node.tables, node.ended) for name, node in post.nodes.items()}
    return msgspec.json.encode((trades_of(outcome), outcome.refusals, outcome.after_w, ledgers, tables))


def day_of(operator: OperatorShare, post: LettersHere) -> bytes:
    outcome, owners = run_split(operator, post)
    assert trades_of(outcome)
    assert all(owner.tell([("confirmations.csv", [("a", "b")])]) for owner in owners)
    return what_stands(outcome, post)


def from_another_key(letters: Sequence[tuple[str, bytes]], sender: str) -> list[tuple[str, bytes]]:
    """The same letters as somebody without the key can write them."""
    forger = Desk(sender, Seals("somebody"), desk_of("x").digest, nonce)
    found = []
    for to, written in letters:
        head = msgspec.msgpack.decode(written, type=Letter).head
        found.append((to, forger.letter(to, head.sort, (head.to, head.since), head.number, grants.Commit(1))))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_recorded_letters_change_nothing(shares: Shares, seed: int) -> None:
    _, operator, by_name = shares
    first = LettersHere(by_name)
    expected = day_of(operator, first)
    old = [*first.written, *from_another_key(first.written, MARKET_OPERATOR if seed else "local")]
    post = Recorded(by_name, old, seed)
    assert day_of(operator, post) == expected
    dropped = {name: desk.desk.dropped for name, desk in post.desks.items()}
    assert all(count[Dropped.OTHER_START] and count[Dropped.NOT_SIGNED] for count in dropped.values())
    assert post.operator.dropped.total() > 0


def test_a_dso_that_started_again_is_not_fooled_by_the_day_before(shares: Shares) -> None:
    """Whatever comes first, in whatever order: nothing is committed, ended or written down."""
    _, operator, by_name = shares
    first = LettersHere(by_name)
    day_of(operator, first)
    to_local = [written for name, written in first.written if name == "local"]
    for seed in range(3):
        post = LettersHere(by_name)
        for at in np.random.default_rng(seed).permutation(len(to_local)):
            post.desks["local"].reply_to(to_local[at])
        assert post.ledgers["local"].entries == []
        assert not post.nodes["local"].committed
        assert not post.desks["local"].closed
        assert post.desks["local"].heard == 0


class Babble:
    """Kinds of nonsense: of the wrong kind, absurd in a field, or no message at all."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def of(self, honest: msgspec.Struct | None) -> msgspec.Struct | bytes:
        way = self._rng.integers(0, 10)
        if way == 0:
            return [b"", b"\xc1", b"\x91" * 50_000, b"\xdf\xff\xff\xff\xff", self._rng.bytes(200)][
                self._rng.integers(5)
            ]
        if way <= 3 or honest is None:
            return self._any(self._one(ANSWERS))
        return self._spoilt(honest)

    def _one(self, choices: Sequence[Any]) -> Any:
        return choices[int(self._rng.integers(len(choices)))]

    def _spoilt(self, message: Any) -> msgspec.Struct:
        """One field of it, or of a part of it, is another."""
        fields = message.__struct_fields__
        if not fields:
            return self._any(self._one(ANSWERS))
        name = self._one(fields)
        spoilt: msgspec.Struct = msgspec.structs.replace(message, **{name: self._other(getattr(message, name))})
        return spoilt

    def _other(self, value: Any) -> Any:
        match value:
            case bool():
                return not value
            case int():
                return int(self._one(ODD_INTEGERS))
            case float():
                return float(self._one(ODD_NUMBERS))
            case str() | None:
                return self._one(ODD_TEXTS)
            case bytes():
                return self._numbers(len(value))
            case dict():
                return self._table(value)
            case tuple():
                return self._some(value)
            case _:
                return self._spoilt(value)

    def _numbers(self, size: int) -> bytes:
        if self._rng.random() < 0.3:
            return self._rng.bytes(int(self._one((0, 1, size + 8, max(size - 8, 0), 300_000))))
        row = np.frombuffer(self._rng.bytes(size - size % 8), dtype="<f8").copy()
        row[:] = self._one(ODD_NUMBERS)
        return row.tobytes()

    def _table(self, table: dict[str, Any]) -> dict[str, Any]:
        changed = {name: self._other(value) for name, value in table.items()}
        more = table | {self.text(): next(iter(table.values()), b"")}
        return dict(self._one(({}, changed, more)))

    def _some(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not values:
            return ()
        return tuple(self._one(((), values * 3, (self._other(values[0]), *values[1:]))))

    def _any(self, make: Callable[["Babble"], msgspec.Struct]) -> msgspec.Struct:
        return make(self)

    def number(self) -> float:
        return float(self._one(ODD_NUMBERS))

    def integer(self) -> int:
        return int(self._one(ODD_INTEGERS))

    def text(self) -> str:
        return str(self._one(ODD_TEXTS))

    def data(self) -> bytes:
        return self._numbers(int(self._one((0, 8, 16, 192, 384))))


ANSWERS: Sequence[Callable[[Babble], msgspec.Struct]] = (
    lambda b: grants.Bids((), b.integer()),
    lambda b: grants.Rows(b.data()),
    lambda b: grants.TriedMessage(True, b.number(), None, b.data(), b.data()),
    lambda b: grants.TriedMessage(True, -1.0, grants.Bound(b.text(), b.text(), b.integer(), b.number()), b"", b""),
    lambda b: grants.Room(b.number()),
    lambda b: grants.Reading(b.data()),
    lambda b: grants.Tangents((), b.integer()),
    lambda b: grants.ResponsesMessage({}, {b.text(): grants.SlopeRows({b.text(): b.data()}, {}, {})}),
    lambda _: grants.Done(),
    lambda b: grants.CannotAnswer(b.text()),
    lambda b: grants.Commit(b.integer()),
)


class Liar(AnsweringDesk):
    """Answers honestly for a while, then nonsense, with a key that is registered."""

    def __init__(self, inner: AnsweringDesk, babble: Babble, honest: int) -> None:
        super().__init__(inner.desk)
        self._inner, self._babble, self._honest = inner, babble, honest
        self.lies = 0

    def answered(self, letter: Letter) -> msgspec.Struct | None:
        honest = self._inner.answered(letter)
        self._honest -= 1
        if self._honest >= 0:
            return honest
        self.lies += 1
        found = self._babble.of(honest)
        return msgspec.Raw(found) if isinstance(found, bytes) else found  # type: ignore[return-value]


def with_a_liar(shares: dict[str, DsoShare], name: str, seed: int, honest: int) -> tuple[LettersHere, Liar]:
    post = LettersHere(shares)
    liar = Liar(post.desks[name], Babble(seed), honest)
    post.desks[name] = liar  # type: ignore[assignment]
    return post, liar


@pytest.mark.parametrize(("name", "honest"), [("village", 0), ("village", 40), ("local", 15), ("local", 80)])
def test_nonsense_costs_its_own_area_only(shares: Shares, name: str, honest: int) -> None:
    """The day completes; nobody else is silenced, and what others hold is what the log says."""
    _, operator, by_name = shares
    post, liar = with_a_liar(by_name, name, honest, honest)
    outcome, owners = run_split(operator, post)
    for owner in owners:
        owner.tell([])
    (of_liar,) = (owner for owner in owners if owner.owner == by_name[name].own.dso)
    assert liar.lies > 0
    assert of_liar.silenced is not None
    assert all(owner.silenced is None and not owner.undelivered for owner in owners if owner is not of_liar)
    trades = {trade.match for trade in trades_of(outcome)}
    for other in by_name.keys() - {name}:
        assert post.nodes[other].committed <= trades
        assert post.nodes[other].in_doubt == ()


class Parrot:
    """A post that brings one answer to every question, as written in a letter."""

    def __init__(self, body: bytes) -> None:
        self._letter = Letter(Head("local", b"", Sort.REPLY, b"", b"", 1), body, b"")

    def ask(self, questions: Sequence[tuple[str, grants.Question]]) -> Sequence[grants.Reply | Nonsense]:
        return [grant_reply_in(self._letter) for _ in questions]


MTUS = np.array([12, 13])
TRIAL = Trial(
    1, (Move("WA", Span(12, 14), 1_000_000),), MTUS, {"Village 1": np.array([5e5, 1e5 + 1j])}, None, ("Village 1",)
)
CALLS: Sequence[tuple[Callable[[RemoteOwner], Any], Callable[[GrantNode], grants.Reply]]] = (
    (lambda o: o.bids(), lambda n: n.answer(grants.Begin(0), RUN)),
    (
        lambda o: o.voltages(["Village 1", "Local 1"]),
        lambda n: n.answer(grants.Voltages(("Village 1", "Local 1")), RUN),
    ),
    (lambda o: o.attempt(TRIAL), lambda n: n.answer(written_trial(TRIAL), RUN)),
    (lambda o: o.hold(1, 1), lambda _: grants.Done()),
    (lambda o: o.slack("Cable 1", Kind.LOADING, 12), lambda _: grants.Room(0.5)),
    (lambda o: o.tangents(1), lambda n: n.answer(grants.Cut(1, 0), RUN)),
    (lambda o: o.responses(), lambda n: n.answer(grants.Respond(), RUN)),
    (lambda o: o.reading("Cable 1", Kind.LOADING), lambda _: grants.Reading(np.ones(24).tobytes())),
)


def sound(found: Any) -> bool:
    """Only finite numbers of a size that a grid can have, and names that can be shown."""
    match found:
        case None | bool() | Kind() | Tried(converged=False):
            return True
        case int() | float() | complex():
            return bool(abs(found) <= 1e18)
        case str():
            return len(found) <= 200 and found.isprintable()
        case np.ndarray():
            return bool((np.abs(found) <= 1e12).all())
        case dict():
            return all(map(sound, [*found, *found.values()]))
        case tuple() | list():
            return all(map(sound, found))
        case msgspec.Struct():
            return all(sound(getattr(found, name)) for name in found.__struct_fields__)
    return False


def test_a_thousand_kinds_of_nonsense(shares: Shares) -> None:
    """Each is silence, or an answer that could be one; what is used is bounded, and of its own area."""
    _, operator, by_name = shares
    node = started(operator, by_name, "local")
    silent = 0
    for seed in range(KINDS):
        babble, (call, honest) = Babble(seed), CALLS[seed % len(CALLS)]
        said = babble.of(honest(node))
        body = said if isinstance(said, bytes) else msgspec.msgpack.encode(said)
        (owner,) = (each for each in operator.reached(Parrot(body)) if each.owner == "Local")
        owner._begun, owner._tried = True, len(MTUS)
        try:
            found = call(owner)
        except OwnerSilent:
            silent += 1
            continue
        assert sound(found), (seed, said)
    assert silent > KINDS // 2


def test_bids_under_names_of_others_cost_nobody_an_order(shares: Shares) -> None:
    whole, operator, by_name = shares
    taken = by_name["local"].scenario.orders[0].order
    village = by_name["village"]
    first, *others = village.scenario.orders
    rows = (msgspec.structs.replace(first, order=taken), *others)
    spoilt = {**by_name, "village": village._replace(scenario=msgspec.structs.replace(village.scenario, orders=rows))}
    outcome, _ = run_split(operator, LettersHere(spoilt))
    names = [row.order for row in outcome.scenario.orders]
    assert len(names) == len(set(names)) == len(whole.scenario.orders)
    assert taken in names
