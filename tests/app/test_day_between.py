"""A market day between organisations is the day of one process, and what happens when one is silent or starts again."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.adapters.scenario_folder import Texts
from tests.app.grid_days import CIGRE_UNITS, SMALL_UNITS, Day, cigre_day, never_worse, small_day
from tests.app.seals import DIGEST
from tests.app.split_days import RUN, LettersHere, Whole, nominal_state, run_split, started, trades_of
from tests.app.test_grid_day_trades import (
    AREA_CASES,
    cigre_areas,
    only_the_lateral,
    random_orders,
    three_levels,
    with_orders,
)

from flexpeer.adapters.day_share_files import PromisesFile, read_operator, write_dso, write_operator
from flexpeer.app.between import grant_node
from flexpeer.app.between.grant_node import GrantNode
from flexpeer.app.between.letters import MARKET_OPERATOR, Dropped
from flexpeer.app.between.remote_owner import RemoteOwner
from flexpeer.app.day_split import DsoShare, OperatorShare, letter_names
from flexpeer.app.granting.joint_check import Borders
from flexpeer.app.granting.owner_cuts import OwnerCuts
from flexpeer.app.ports import Slopes, Trial
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.day_nodes import read_dso
from flexpeer.errors import BadInput
from flexpeer.market.trades import Move, Phase, Trade
from flexpeer.periods import Span
from flexpeer.wire.grants import (
    Abort,
    Began,
    Begin,
    Bids,
    CannotAnswer,
    Commit,
    Done,
    Entry,
    GateCall,
    Hold,
    Question,
    Reply,
    Rows,
    Slack,
    Tell,
    TriedMessage,
    Try,
    Voltages,
)
from flexpeer.wire.study import StudyStart

Shares = tuple[Whole, OperatorShare, dict[str, DsoShare]]


def windy(seed: int) -> Texts:
    return with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], seed))


@pytest.mark.parametrize("areas", AREA_CASES)
@pytest.mark.parametrize("seed", range(2))
def test_the_trades_are_those_of_one_process(areas: str, seed: int, tmp_path: Path) -> None:
    whole = Whole(AREA_CASES[areas](windy(seed)), tmp_path)
    operator, shares = whole.split()
    outcome, owners = run_split(operator, LettersHere(shares))
    expected = whole.run()
    assert trades_of(expected)
    assert trades_of(outcome) == trades_of(expected)
    assert outcome.refusals == expected.refusals
    assert outcome.after_w == expected.after_w
    assert outcome.state.needs.needs_w == expected.state.needs.needs_w
    assert not any(owner.undelivered or owner.lost for owner in owners)


def test_on_cigre_too_from_files(tmp_path: Path) -> None:
    points = ["Line 1-2", "Line 2-3", "Line 3-8", "Line 7-8"]
    whole = Whole(cigre_areas(with_orders(cigre_day(), random_orders(CIGRE_UNITS, points, 1))), tmp_path)
    operator, shares = whole.split()
    write_operator(operator, tmp_path / "operator")
    files = whole.files()
    for name, share in shares.items():
        write_dso(share, files[share.own.dso][0], tmp_path / name)
    read = {name: read_dso(tmp_path / name) for name in shares}
    outcome, _ = run_split(read_operator(tmp_path / "operator"), LettersHere(read))
    assert trades_of(outcome) == trades_of(whole.run()) != []


def test_the_gate_is_cleared_between_programs_too(tmp_path: Path) -> None:
    whole = Whole(cleared(three_levels(windy(0))), tmp_path)
    operator, shares = whole.split()
    post = LettersHere(shares)
    outcome, owners = run_split(operator, post)
    expected = trades_of(whole.run())
    assert Phase.CLEARING in {trade.phase for trade in expected}
    assert trades_of(outcome) == expected
    nothing_doubtful(outcome, owners, post)


@pytest.mark.parametrize("at_a_time", [400_000, 1])
def test_tangents_and_responses_are_told_as_they_are(
    at_a_time: int, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grant_node, "BYTES_AT_A_TIME", at_a_time)
    _, operator, by_name = shares
    post = LettersHere(by_name)
    run_split(operator, post)
    here = post.nodes["local"]._validator
    there = next(each for each in operator.reached(post) if each.owner == "Local")
    moves = tuple(Move(name, Span(12, 14), 40_000_000) for name in ("WA", "WB"))
    trial = Trial(1, moves, np.arange(11, 15), {}, None, ())
    assert here.attempt(trial).excess == there.attempt(trial).excess > 0.0
    expected, found = here.tangents(1), there.tangents(1)
    assert len(found) == len(expected) > 1
    for mine, theirs in zip(expected, found, strict=True):
        at = mine.over > 0.0
        assert (mine.over == theirs.over).all()
        same_slopes(mine.slopes.at(np.flatnonzero(at)), theirs.slopes.at(np.flatnonzero(at)))
    for part, other in zip(here.responses(), there.responses(), strict=True):
        assert part.keys() == other.keys()
        for name, slopes in part.items():
            same_slopes(slopes, other[name])


def same_slopes(mine: Slopes, theirs: Slopes) -> None:
    for part, other in zip(mine, theirs, strict=True):
        assert part.keys() == other.keys()
        assert all((row == other[name]).all() for name, row in part.items())


def cleared(texts: Texts) -> Texts:
    """What is left at the gate is cleared."""
    return texts | {"scenario.toml": texts["scenario.toml"] + '[rulebook]\nresidual = "distributed"\n'}


def message_of(name: str, body: bytes) -> Any:
    return msgspec.msgpack.decode(body, type=Reply if name == MARKET_OPERATOR else Question)


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, OperatorShare, dict[str, DsoShare]]:
    whole = Whole(three_levels(windy(3)), tmp_path_factory.mktemp("three"))
    return whole, *whole.split()


class Gaps(LettersHere):
    """A DSO hears nothing of some of its letters (`heard` false), or its replies are lost."""

    def __init__(self, shares: dict[str, DsoShare], dso: str, gaps: range, *, heard: bool) -> None:
        super().__init__(shares)
        self._dso, self.gaps, self._heard = dso, gaps, heard
        self.count: Counter[str] = Counter()

    def carried(self, name: str, written: bytes) -> bytes | None:
        self.count[name] += 1
        away = name == self._dso and self.count[name] in self.gaps
        reply = None if away and not self._heard else super().carried(name, written)
        return None if away else reply


def matches(outcome: DayOutcome) -> set[int]:
    return {trade.match for trade in trades_of(outcome)}


def nothing_doubtful(outcome: DayOutcome, owners: list[RemoteOwner], post: LettersHere) -> None:
    """Every trade is committed where it was held, nothing else is, and nobody holds anything."""
    assert [owner.owner for owner in owners if not owner.tell([])] == []
    assert all(node.in_doubt == () for node in post.nodes.values())
    assert set().union(*(node.committed for node in post.nodes.values())) == matches(outcome)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("first", range(3, 60, 7))
def test_who_is_silent_for_a_while_grants_nothing_and_the_day_goes_on(
    shares: Shares, first: int, heard: bool, tmp_path: Path
) -> None:
    _, operator, by_name = shares
    post = Gaps(by_name, "village", range(first, first + 4), heard=heard)
    outcome, owners = run_split(operator, post)
    assert sum(owner.silences for owner in owners) > 0
    post.gaps = range(0)
    nothing_doubtful(outcome, owners, post)
    day = Day(three_levels(windy(3)), tmp_path)
    day.outcome = outcome
    never_worse(day)


def test_who_is_silent_all_day_stops_whatever_would_move_its_voltage(shares: Shares) -> None:
    _, operator, by_name = shares
    post = Gaps(by_name, "village", range(1, 10_000), heard=False)
    outcome, owners = run_split(operator, post)
    assert not trades_of(outcome)
    silent = next(owner for owner in owners if owner.owner == "Village")
    assert post.count["village"] == silent.silences < 10
    assert len(outcome.scenario.orders) < len(shares[0].scenario.orders)


class Restarting(LettersHere):
    """Every so many letters the DSO that reads it is started again, after or before it acts; the letter comes again.

    Before the starting point is known that takes four letters to mend, so it is not more often than every eleventh.
    """

    def __init__(self, shares: dict[str, DsoShare], every: int, *, acted: bool) -> None:
        super().__init__(shares)
        self._every, self._acted = every, acted

    def carried(self, name: str, written: bytes) -> bytes | None:
        every = self._every if self.nodes[name]._started else max(self._every, 11)
        if self.number % every == 0:
            if self._acted:
                super().carried(name, written)
            tried = self.nodes[name]._tried
            self.start(name)
            self.nodes[name]._tried = None
            if tried is not None:
                self._again(name, tried)
        return super().carried(name, written)

    def _again(self, name: str, tried: Try) -> None:
        """What was only tried is not kept, and would have been tried again."""
        self.nodes[name].answer(tried, self.nodes[name].run)


@pytest.mark.parametrize("acted", [True, False])
@pytest.mark.parametrize("every", [3, 5, 11])
def test_who_starts_again_is_where_it_was(shares: Shares, every: int, acted: bool) -> None:
    whole, operator, by_name = shares
    post = Restarting(by_name, every, acted=acted)
    outcome, owners = run_split(operator, post)
    assert trades_of(outcome) == trades_of(whole.run()) != []
    nothing_doubtful(outcome, owners, post)


class Forgetting(LettersHere):
    """A DSO loses its ledger just before it would hear of its first trade."""

    forgot = False

    def ask(self, questions: Any) -> Any:
        for name, question in questions:
            if isinstance(question, Commit) and name == "local" and not self.forgot:
                self.forgot = True
                self.ledgers[name].entries[:] = [Entry(self.nodes[name].run, Began())]
                self.start(name)
        return super().ask(questions)


def test_who_has_forgotten_its_promise_grants_nothing_more(shares: Shares) -> None:
    _, operator, by_name = shares
    post = Forgetting(by_name)
    outcome, owners = run_split(operator, post)
    lost = {owner.owner: owner.lost for owner in owners}
    assert lost["Local"] == sorted(matches(outcome))[:1]
    assert not post.nodes["local"].committed
    assert len(matches(outcome)) == 1
    assert [owner.tell([]) for owner in owners] == [owner.owner != "Local" for owner in owners]


def test_letters_hold_no_network_and_no_bid_of_others(tmp_path: Path) -> None:
    """But for the element that binds, and moves at a DSO's own resources."""
    whole = Whole(only_the_lateral(windy(1)), tmp_path)
    operator, by_name = whole.split()
    post = LettersHere(by_name)
    outcome, owners = run_split(operator, post)
    for owner in owners:
        owner.tell([])
    network = {*whole.grid.network.bus_names, *whole.grid.network.branch_names} - {"Cable 3"}
    orders = {row.order: home for home, share in by_name.items() for row in share.scenario.orders}
    home = {resource.resource: name for name, share in by_name.items() for resource in share.scenario.resources}
    assert matches(outcome)
    kinds = Counter[str]()
    for name, body in post.letters:
        message = message_of(name, body)
        kinds[type(message).__name__] += 1
        said = set(texts_in(message))
        if isinstance(message, GateCall) and message.parts == 1 and message.data:
            told = set(texts_in(msgspec.msgpack.decode(message.data)))
            assert message.name != "begin" or {orders[text] for text in told & orders.keys()} == {name}
            said |= told - orders.keys()
        if name != MARKET_OPERATOR:
            assert {home[text] for text in said & home.keys()} <= {name}
            assert not said & orders.keys()
        elif isinstance(message, TriedMessage):
            said -= {message.bound.element if message.bound else ""}
        if not isinstance(message, Slack):
            assert not said & network, message
    assert set(kinds) >= {"Begin", "Bids", "Try", "TriedMessage", "Hold", "Commit", "Done", "Voltages", "Rows", "Tell"}
    assert set(kinds) >= {"GateCall", "GateValue"}


def texts_in(message: Any) -> Iterator[str]:
    if isinstance(message, str):
        yield message
    elif isinstance(message, msgspec.Struct):
        for name in message.__struct_fields__:
            yield from texts_in(getattr(message, name))
    elif isinstance(message, dict):
        for key, value in message.items():
            yield from texts_in(key)
            yield from texts_in(value)
    elif isinstance(message, tuple | list):
        for each in message:
            yield from texts_in(each)


@pytest.fixture
def node(shares: Shares) -> GrantNode:
    _, operator, by_name = shares
    found = started(operator, by_name, "local")
    assert isinstance(found.answer(Begin(0), RUN), Bids)
    return found


OTHER_RUN = "another run"
NOTHING = Try(1, (), (12,), {}, None, ())


def test_the_same_decision_may_come_twice_and_others_are_refused(node: GrantNode) -> None:
    def ask(question: Question) -> Reply:
        return node.answer(question, RUN)

    assert isinstance(ask(Hold(1, 1)), CannotAnswer)
    assert isinstance(ask(NOTHING), TriedMessage)
    assert isinstance(ask(Hold(1, 2)), CannotAnswer)
    assert [type(ask(Hold(1, 1))) for _ in range(2)] == [Done, Done]
    assert node.in_doubt == (1,)
    assert [type(ask(Commit(1))) for _ in range(2)] == [Done, Done]
    assert isinstance(ask(Abort(1)), CannotAnswer)
    assert isinstance(ask(Commit(2)), CannotAnswer)
    assert isinstance(ask(Abort(2)), Done)
    assert node.committed == {1}
    assert isinstance(node.answer(NOTHING, OTHER_RUN), CannotAnswer)
    assert isinstance(node.answer(Begin(0), OTHER_RUN), Bids)
    assert node.committed == set()


def test_what_does_not_fit_the_area_is_refused(node: GrantNode) -> None:
    row = np.zeros(1, dtype="<c16").tobytes()
    for question in (
        msgspec.structs.replace(NOTHING, mtus=()),
        msgspec.structs.replace(NOTHING, mtus=(24,)),
        msgspec.structs.replace(NOTHING, mtus=(12, 12)),
        msgspec.structs.replace(NOTHING, drawn={"Nowhere 1": row}),
        msgspec.structs.replace(NOTHING, drawn={"Village 1": row + row}),
        msgspec.structs.replace(NOTHING, border_v=b""),
        msgspec.structs.replace(NOTHING, border_v=np.full(1, np.nan, dtype="<c16").tobytes()),
        msgspec.structs.replace(NOTHING, watched=("Cable 1",)),
        Voltages(("Busbar",)),
        Slack("Nothing", "loading", 12),
        Slack("Cable 3", "heat", 12),
    ):
        assert isinstance(node.answer(question, RUN), CannotAnswer), question
    assert isinstance(node.answer(Voltages(("Village 1", "Local 1")), RUN), Rows)
    assert isinstance(node.answer(Tell("", (), True), RUN), Done)
    assert node.ended


def test_promises_outlive_a_program_cut_off_while_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "promises.log"
    run, other = f"{DIGEST.hex()}-1", f"{hashlib.sha256().hexdigest()}-1"
    entries = [Entry(run, Began()), Entry(run, Commit(2)), Entry(run, Abort(3))]
    with PromisesFile(tmp_path, DIGEST) as file:
        for entry in (Entry(other, Began()), *entries[:2]):
            file.append(entry)
    with path.open("ab") as cut:
        cut.write(msgspec.json.encode(entries[2])[:-3])
    with PromisesFile(tmp_path, DIGEST) as file:
        assert file.read() == entries[:2]
        file.append(entries[2])
    with PromisesFile(tmp_path, DIGEST) as file:
        assert file.read() == entries
    path.write_bytes(b"something else\n")
    with pytest.raises(BadInput, match="no promises"):
        PromisesFile(tmp_path, DIGEST)


def test_a_reply_that_was_lost_with_the_program_comes_again(shares: Shares) -> None:
    post, state = LettersHere(shares[2]), nominal_state(shares[2]["local"])
    for question in (Begin(0), state, StudyStart(), NOTHING, Hold(1, 1)):
        post.ask([("local", question)])
    post.start("local")
    assert post.ask([("local", state), ("local", StudyStart())])[1] == Done()
    assert post.ask([("local", Hold(1, 1))]) == [Done()]
    assert post.desks["local"].desk.dropped == {Dropped.OTHER_START: 1}
    assert post.nodes["local"].in_doubt == (1,)


def test_names_for_letters_are_plain_and_different() -> None:
    names = letter_names(["Elnät Syd", "Elnat syd", "Ångermanland & Co", "市", "Market operator"])
    assert list(names.values()) == ["elnat-syd", "elnat-syd-2", "angermanland-co", "dso", "market-operator-2"]


def test_trades_are_told_in_the_log_once(shares: Shares) -> None:
    _, operator, by_name = shares
    outcome, _ = run_split(operator, LettersHere(by_name))
    found: list[Trade] = trades_of(outcome)
    assert len({trade.trade for trade in found}) == len(found)


def test_who_is_silent_at_the_gate_tells_no_tangents(shares: Shares) -> None:
    _, operator, by_name = shares
    post = Gaps(by_name, "village", range(1, 10_000), heard=False)
    owners = operator.reached(post)
    cuts = OwnerCuts(Borders(owners, operator.home))
    for name in ("region", "local"):
        post.ask([(name, question) for question in (Begin(0), nominal_state(by_name[name]), StudyStart())])
    assert list(cuts.violated({"WA": np.full(24, 40e6)})) == []
    assert post.count["village"] > 0
