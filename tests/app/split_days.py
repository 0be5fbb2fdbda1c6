"""A market day between organisations, by letters in memory."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.adapters.scenario_folder import Texts, folder_of
from tests.app.grid_days import _Watch
from tests.app.seals import asked, desk_of
from tests.market.small_market import MemoryLog

from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.grant_node import GrantDesk, GrantNode, Unkept
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.app.between.remote_owner import Nonsense, RemoteOwner, grant_reply_in
from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare, gather_bids, split_day
from flexpeer.app.study.grid_day import GridInput
from flexpeer.app.study.told_side import ToldSide
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.bootstrap import NewtonVerifier
from flexpeer.market.trades import Trade
from flexpeer.wire.grants import Question, Reply

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
        share = self._shares[name]
        self.nodes[name] = GrantNode(share.own, share.orders, self.ledgers[name])
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
        grid = open_grid(self.scenario.grid_source or "", folder)
        self.grid = GridInput(grid.network, grid.bus_index, grid.branch_index)

    def run(self) -> DayOutcome:
        return Day(self.scenario, MemoryLog(), _Watch(), self.grid, NewtonVerifier()).run()

    def split(self) -> tuple[OperatorShare, dict[str, DsoShare]]:
        return split_day(self.scenario, self.grid, _Watch())


def run_split(
    operator: OperatorShare, post: LettersHere, log: MemoryLog | None = None
) -> tuple[DayOutcome, list[RemoteOwner]]:
    """The market operator's side of a day: bids first, then the day as everywhere."""
    owners = operator.reached(post)
    scenario, _ = gather_bids(operator, owners)
    side = ToldSide(scenario, operator.points, owners, operator.home)
    return Day(scenario, log or MemoryLog(), _Watch(), told=side).run(), owners


def trades_of(outcome: DayOutcome) -> list[Trade]:
    """In the order in which they came about."""
    return sorted(outcome.state.trades.trades.values(), key=lambda t: (t.match, len(t.trade), t.trade))
