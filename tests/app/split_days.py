"""A market day between organisations, by letters in memory."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from tests.adapters.scenario_folder import Texts, folder_of
from tests.app.grid_days import _Watch
from tests.app.seals import asked, desk_of
from tests.market.small_market import MemoryLog

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.several_grids import separated
from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.grant_node import GrantDesk, GrantNode, Ledger, Unkept
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.app.between.remote_owner import Nonsense, RemoteOwner, grant_reply_in
from flexpeer.app.between.remote_study import RemoteStudy
from flexpeer.app.between.study_messages import written_state
from flexpeer.app.between.study_node import StudyNode
from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare, gather_bids, split_day
from flexpeer.app.ports import BorderNumbers
from flexpeer.app.study.area_study import AreaStudy
from flexpeer.app.study.grid_day import build
from flexpeer.app.study.joint_side import JointSide
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.bootstrap import NewtonVerifier, own_grid
from flexpeer.grid.joining import BorderJoint
from flexpeer.market.trades import Trade
from flexpeer.wire.grants import Entry, Question, Reply, Started
from flexpeer.wire.study import StudyState

RUN = "a run"


class LettersHere:
    """Carries letters at once and keeps them; what comes of one may be changed by subclasses."""

    def __init__(self, shares: dict[str, DsoShare]) -> None:
        self.start_operator()
        self._shares = shares
        self.ledgers = {name: Unkept() for name in shares}
        self.nodes: dict[str, GrantNode] = {}
        self.desks: dict[str, GrantDesk] = {}
        self.number = 0
        self.letters: list[tuple[str, bytes]] = []
        self.written: list[tuple[str, bytes]] = []
        for name in shares:
            self.start(name)

    def start_operator(self) -> None:
        """Anew, with nothing but its log."""
        self.operator = desk_of(MARKET_OPERATOR)
        self._asking = OpenQuestions(self.operator, 1.0, grant_reply_in)

    def start(self, name: str) -> None:
        """Anew, with what is in the ledger and nothing else."""
        self.nodes[name] = node_of(self._shares[name], self.ledgers[name])
        self.desks[name] = GrantDesk(desk_of(name), self.nodes[name])

    def carried(self, name: str, written: bytes) -> bytes | None:
        """To a DSO, and what it replies."""
        return self.desks[name].reply_to(written)

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | Nonsense | None]:
        """One after the other."""
        return [self._one(name, question) for name, question in questions]

    def _one(self, name: str, question: Question) -> Reply | Nonsense | None:
        self.letters.append((name, msgspec.msgpack.encode(question)))
        reply: Reply | Nonsense | None = asked(self._asking, name, question, self._posted)
        if reply is not None:
            self.letters.append((MARKET_OPERATOR, msgspec.msgpack.encode(reply)))
        return reply

    def _posted(self, name: str, written: bytes) -> bytes | None:
        self.number += 1
        self.written.append((name, written))
        reply = self.carried(name, written)
        if reply is not None:
            self.written.append((MARKET_OPERATOR, reply))
        return reply


class Whole:
    """The same day in one process, and its shares."""

    def __init__(self, texts: Texts, folder: Path) -> None:
        self.scenario = read_scenario(folder_of(texts, folder))
        self.file = open_grid(self.scenario.grid_source or "", folder)
        self.grid = own_grid(self.file)

    def run(self) -> DayOutcome:
        return Day(self.scenario, MemoryLog(), _Watch(), self.grid, NewtonVerifier()).run()

    def split(self) -> tuple[OperatorShare, dict[str, DsoShare]]:
        return split_day(
            self.scenario, self.grid, {dso: (own_grid(own), joints) for dso, (own, joints) in self.files().items()}
        )

    def files(self) -> dict[str, tuple[GridFile, list[BorderJoint]]]:
        """The DSOs' own grids, with their borders."""
        day = build(self.scenario, self.grid)
        return separated(self.file, day.owners, np.asarray(day.in_service.any(axis=1)))


def nominal_state(share: DsoShare) -> StudyState:
    """Of a DSO whose resources do nothing, with nominal voltages above and nothing drawn below."""
    count, borders = share.scenario.day.mtu_count, [each.border for each in share.own.above]
    schedules = {row.resource: (0,) * count for row in share.scenario.resources}
    at = BorderNumbers({}, np.ones((len(borders), count), dtype=np.complex128))
    return written_state(schedules, at, borders, schedules.keys())


def node_of(share: DsoShare, ledger: Ledger) -> GrantNode:
    """A DSO's node as its program makes it."""
    study = StudyNode(AreaStudy(*share), share.scenario.day.mtu_count)
    return GrantNode(study, share.scenario.orders, ledger)


def started(operator: OperatorShare, shares: dict[str, DsoShare], name: str) -> GrantNode:
    """A DSO's node in run `RUN`, at the starting point of the day."""
    post = LettersHere(shares)
    run_split(operator, post)
    acts = [entry.act for entry in post.ledgers[name].entries]
    ledger, count = Unkept(), next(n for n, act in enumerate(acts, 1) if isinstance(act, Started))
    for act in acts[:count]:
        ledger.append(Entry(RUN, act))
    return node_of(shares[name], ledger)


def run_split(
    operator: OperatorShare, post: LettersHere, log: MemoryLog | None = None
) -> tuple[DayOutcome, list[RemoteOwner]]:
    """The market operator's side of a day: bids first, then the day as everywhere."""
    owners = operator.reached(post)
    scenario, _ = gather_bids(operator, owners)
    side = JointSide(scenario, [RemoteStudy(owner) for owner in owners])
    return Day(scenario, log or MemoryLog(), _Watch(), told=side).run(), owners


def trades_of(outcome: DayOutcome) -> list[Trade]:
    """In the order in which they came about."""
    return sorted(outcome.state.trades.trades.values(), key=lambda t: (t.match, len(t.trade), t.trade))
