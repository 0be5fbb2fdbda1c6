"""Peers' own agents beside the same peers at their DSO."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.laboratory.instances import instance, rounding_money
from tests.laboratory.joint_clearing import Traffic, names, nodes_of, with_random_areas

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.between.agents import FIRST_AGENT, HostNode, Staff, apart
from flexpeer.laboratory.between.area_node import AreaNode, AreasHere, Memory
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import AreaAnswer, AreaRefusal, Close, Question, Reply
from flexpeer.laboratory.between.coordination import clear_together
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.shares import Hook, Outline, Part, split


class Hosted:
    """A problem whose DSOs have agents for some of their peers."""

    def __init__(
        self, problem: ClearingProblem, share: float, left: float = 0.0, silent_from: dict[str, int] | None = None
    ):
        rng = np.random.default_rng(1)
        self.outline, parts = split(problem, names(problem))
        self.agents: dict[str, AreaNode] = {}
        self.traffic = Traffic(AreasHere(self.agents), silent_from)
        self.hosts: dict[str, HostNode] = {}
        self._made: dict[str, tuple[list[Part], Staff, Memory]] = {}
        self.parts: dict[int, Part] = {}
        first = FIRST_AGENT
        for dso, own in parts.items():
            theirs: list[Part] = []
            for k, part in enumerate(own):
                chosen = np.flatnonzero(rng.random(part.problem.peers) < share)
                own[k], some = apart(part, {int(peer): first + i for i, peer in enumerate(chosen)})
                first += len(some)
                theirs += some
            staff = {part.number: f"peer-{part.number - FIRST_AGENT}" for part in theirs}
            self.agents |= {staff[part.number]: AreaNode([part]) for part in theirs}
            proxies = {part.number: part for part in theirs if rng.random() < left}
            self._made[dso] = (own, Staff(staff, self.traffic, proxies), Memory())
            self.hosts[dso] = HostNode(*self._made[dso])
            self.parts |= {part.number: part for part in (*own, *theirs)}

    def areas(self) -> Areas:
        return AreasHere(self.hosts)

    def started_again(self) -> dict[str, HostNode]:
        """DSOs' nodes that know what is on their shelves."""
        return {dso: HostNode(*made) for dso, made in self._made.items()}

    def flat(self) -> tuple[Outline, dict[str, AreaNode]]:
        """The same pieces with each agent a DSO of its own."""
        pieces = sorted(self.parts)
        place = {number: k for k, number in enumerate(pieces)}
        above = {n: part.number for part in self.parts.values() for n in part.entries}
        owner = {n: dso for dso, host in self.hosts.items() for n in host.parts}
        hooks = [Hook(owner.get(n, f"agent-{n}"), place[above[n]] if n in above else -1) for n in pieces]
        nodes = {}
        for dso in dict.fromkeys(hook.dso for hook in hooks):
            own = [self.parts[n] for n, hook in zip(pieces, hooks, strict=True) if hook.dso == dso]
            nodes[dso] = AreaNode(_renumbered(part, place) for part in own)
        return Outline(hooks, self.outline.import_price, self.outline.export_price), nodes


def _renumbered(part: Part, place: dict[int, int]) -> Part:
    entries = {place[n]: at for n, at in part.entries.items()}
    below_kw = {place[n]: kw for n, kw in part.below_kw.items()}
    return replace(part, number=place[part.number], entries=entries, below_kw=below_kw)


@pytest.mark.parametrize("seed", range(30))
def test_agents_are_pieces_that_the_market_operator_does_not_see(seed: int) -> None:
    problem = with_random_areas(instance(seed), seed)
    hosted = Hosted(problem, 0.5)
    found = clear_together(hosted.outline, hosted.areas(), print)
    outline, nodes = hosted.flat()
    flat = clear_together(outline, AreasHere(nodes), print)
    assert found.accepted
    assert (found.steps, found.status) == (flat.steps, flat.status)
    scale = 1e-12 * (1.0 + abs(flat.objective))
    assert found.objective == pytest.approx(flat.objective, abs=scale)
    assert found.dual_bound == pytest.approx(flat.dual_bound, abs=scale)
    assert found.no_trade_objective == pytest.approx(flat.no_trade_objective, abs=scale)
    assert all(node.accepted for node in hosted.agents.values())


@pytest.mark.parametrize("seed", range(30))
def test_agents_gain_what_peers_at_their_dso_gain(seed: int) -> None:
    problem = with_random_areas(instance(seed), seed)
    hosted = Hosted(problem, 0.5)
    found = clear_together(hosted.outline, hosted.areas(), print)
    outline, nodes = nodes_of(problem)
    without = clear_together(outline, AreasHere(nodes), print)
    slack = 1e-9 * (1.0 + abs(without.objective))
    assert found.no_trade_objective == pytest.approx(without.no_trade_objective, abs=slack)
    assert found.gap <= 1e-6 * (found.no_trade_objective - found.objective) + rounding_money(problem)
    assert found.dual_bound <= without.objective + slack
    assert without.dual_bound <= found.objective + slack


def test_the_market_operator_sees_nothing_of_an_agent() -> None:
    problem = clearing_problem(200, 24)
    hosted = Hosted(problem, 0.2)
    recorded = Traffic(hosted.areas())
    found = clear_together(hosted.outline, recorded, print)
    outline, nodes = nodes_of(problem)
    plain = Traffic(AreasHere(nodes))
    clear_together(outline, plain, print)
    assert found.accepted
    assert hosted.traffic.messages
    assert len(recorded.messages) == len(plain.messages)
    assert [_skeleton(text) for _, text in recorded.messages] == [_skeleton(text) for _, text in plain.messages]
    own = {value.tobytes() for n in hosted.parts if n >= FIRST_AGENT for value in hosted.parts[n].problem.step_kw.flat}
    written = b"".join(text for _, text in recorded.messages)
    assert not {written[i : i + 8] for i in range(len(written) - 7)} & own


def _skeleton(message: bytes) -> object:
    """A message without its numbers."""

    def bare(value: object) -> object:
        match value:
            case bytes():
                return b""
            case list():
                return [bare(item) for item in value]
            case dict():
                return {key: bare(item) for key, item in value.items()}
            case _:
                return value

    return bare(msgspec.msgpack.decode(message, strict=False))


def test_a_silent_agent_has_no_part_and_the_day_is_certified() -> None:
    problem = clearing_problem(200, 24)
    hosted = Hosted(problem, 0.1, silent_from={"peer-3": 0})
    found = clear_together(hosted.outline, hosted.areas(), print)
    assert found.accepted
    assert found.silent == ()
    assert [n for host in hosted.hosts.values() for n in host.silent] == [FIRST_AGENT + 3]
    assert found.gap <= 1e-6 * (found.no_trade_objective - found.objective)
    assert [name for name, node in hosted.agents.items() if not node.accepted] == ["peer-3"]


@pytest.mark.parametrize("questions", [0, 1, 2, 3, 30, 57])
def test_the_proxy_plays_a_silent_agent_whose_bids_were_left(questions: int) -> None:
    problem = clearing_problem(200, 24)
    whole, hosted = Hosted(problem, 0.1), Hosted(problem, 0.1, left=1.0, silent_from={"peer-3": questions})
    undisturbed = clear_together(whole.outline, whole.areas(), print)
    found = clear_together(hosted.outline, hosted.areas(), print)
    assert found == undisturbed
    (host,) = [host for host in hosted.hosts.values() if host.proxies]
    assert list(host.proxies) == [FIRST_AGENT + 3]
    assert FIRST_AGENT + 3 in host.accepted


@pytest.mark.parametrize("questions", [1, 2, 20, 56])
def test_an_agent_lost_in_the_middle_begins_the_run_again_without_it(questions: int) -> None:
    hosted = Hosted(clearing_problem(200, 24), 0.1, silent_from={"peer-3": questions})
    told: list[str] = []
    found = clear_together(hosted.outline, hosted.areas(), told.append)
    assert len(told) == 1
    assert found.accepted
    assert found.silent == ()
    assert found.gap <= 1e-6 * (found.no_trade_objective - found.objective)
    assert [name for name, node in hosted.agents.items() if not node.accepted] == ["peer-3"]


class Absent(AreasHere):
    """peer-3 does not hear a question in the middle."""

    asked = 0

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        replies: list[Reply | None] = []
        for name, question in questions:
            self.asked += name == "peer-3"
            away = name == "peer-3" and self.asked == 20
            replies.append(None if away else super().ask([(name, question)])[0])
        return replies


def test_an_agent_that_was_away_for_a_while_is_back_when_the_run_begins_again() -> None:
    hosted = Hosted(clearing_problem(200, 24), 0.1)
    hosted.traffic._areas = Absent(hosted.agents)
    told: list[str] = []
    found = clear_together(hosted.outline, hosted.areas(), told.append)
    assert len(told) == 1
    assert found.accepted
    assert all(node.accepted for node in hosted.agents.values())
    assert not any(host.silent for host in hosted.hosts.values())


def test_a_dso_that_starts_again_before_the_end_tells_its_agents() -> None:
    hosted = Hosted(clearing_problem(200, 24), 0.1, left=1.0, silent_from={"peer-3": 30})
    last: list[Close] = []

    class Ending(AreasHere):
        def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
            last.extend(question for _, question in questions if isinstance(question, Close))
            return [None] * len(questions) if last else super().ask(questions)

    found = clear_together(hosted.outline, Ending(hosted.hosts), print)
    assert found.unconfirmed == tuple(hosted.outline.dsos)
    again = hosted.started_again()
    for host in again.values():
        assert isinstance(host.answer(last[0]), AreaAnswer)
    assert [name for name, node in hosted.agents.items() if not node.accepted] == ["peer-3"]
    assert sorted(n for host in again.values() for n in host.accepted if n >= FIRST_AGENT) == [FIRST_AGENT + 3]


class Babbling(AreaNode):
    """Answers with rows that do not fit."""

    def answer(self, question: Question) -> Reply:
        reply = super().answer(question)
        return reply if isinstance(reply, AreaRefusal | None) else msgspec.structs.replace(reply, sums=reply.up)


def test_an_agent_that_answers_what_does_not_fit_is_as_good_as_silent() -> None:
    hosted = Hosted(clearing_problem(200, 24), 0.1)
    hosted.agents["peer-3"] = Babbling([hosted.parts[FIRST_AGENT + 3]])
    found = clear_together(hosted.outline, hosted.areas(), print)
    assert found.accepted
    assert [n for host in hosted.hosts.values() for n in host.silent] == [FIRST_AGENT + 3]


def test_an_agent_that_does_not_hear_the_end_is_named() -> None:
    hosted = Hosted(clearing_problem(200, 24), 0.1)
    hosted.traffic._areas = Deaf(hosted.agents)
    found = clear_together(hosted.outline, hosted.areas(), print)
    assert found.accepted
    unconfirmed = [n for host in hosted.hosts.values() for n in host.unconfirmed]
    assert unconfirmed == [FIRST_AGENT + 3]


class Deaf(AreasHere):
    """peer-3 does not hear how it ended."""

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        return [
            None if name == "peer-3" and isinstance(question, Close) else super(Deaf, self).ask([(name, question)])[0]
            for name, question in questions
        ]
