"""A clearing's letters sent once more, and a registered DSO that answers with nonsense."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from tests.app.seals import Seals, desk_of, nonce
from tests.laboratory.chaos import World
from tests.laboratory.instances import instance
from tests.laboratory.joint_clearing import check_outcome, names, with_random_areas

from flexpeer.app.between.letters import MARKET_OPERATOR, AnsweringDesk, Desk, Dropped, Letter
from flexpeer.laboratory.between.area_letters import AreaDesk
from flexpeer.laboratory.between.borders import AreaAnswer, AreaRefusal, BeginRun, Close, Numbers, Trouble
from flexpeer.laboratory.engines.shares import split

SMALL = with_random_areas(instance(58), 58)


@dataclass
class Haunted(World):
    """Before each letter, some of another run's are sent once more to whoever they were for; its own are kept."""

    old: list[tuple[str, bytes]] = field(default_factory=list)
    kept: list[tuple[str, bytes]] = field(default_factory=list)

    def _send(self, to: str, letter: bytes) -> None:
        self.kept.append((to, letter))
        super()._send(to, letter)

    def _read(self, dso: str, letter: bytes) -> None:
        for at in self._rng.integers(0, len(self.old), 3) if self.old else ():
            to, written = self.old[at]
            if to == MARKET_OPERATOR:
                self._asking.received(written, self.now_s)
            else:
                self.desks[to].reply_to(written)
        super()._read(dso, letter)


def haunted(old: list[tuple[str, bytes]], seed: int) -> Haunted:
    outline, parts = split(SMALL, names(SMALL))
    return Haunted(outline, parts, seed=seed, old=old)


def outcome_of(world: World) -> bytes:
    kept = [shelf.kept() for shelf in world.shelves.values()]
    pieces = {n: each for found in kept if found is not None for n, each in found.outcomes.items()}
    arrays = {str(n): [np.asarray(rows).tobytes() for rows in each] for n, each in sorted(pieces.items())}
    return msgspec.msgpack.encode((arrays, [shelf.stood for shelf in world.shelves.values()]))


def forged(letters: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """As somebody without the key can write them: that the run has ended, and stands."""
    forger = Desk(MARKET_OPERATOR, Seals("somebody"), desk_of("x").digest, nonce)
    found = []
    for to, written in letters:
        head = msgspec.msgpack.decode(written, type=Letter).head
        found.append((to, forger.letter(to, head.sort, (head.to, head.since), head.number, Close(1, True, "x"))))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_recorded_letters_change_nothing(seed: int) -> None:
    first = haunted([], 0)
    joint = first.run()
    assert joint.accepted
    world = haunted([*first.kept, *forged(first.kept)], seed)
    assert world.run() == joint
    assert outcome_of(world) == outcome_of(first)
    for desk in world.desks.values():
        assert desk.desk.dropped[Dropped.OTHER_START] > 0
        assert desk.desk.dropped[Dropped.NOT_SIGNED] > 0


def test_a_recorded_end_ends_nothing() -> None:
    first = haunted([], 0)
    first.run()
    world = haunted([], 0)
    for to, written in np.random.default_rng(1).permutation(np.array(first.kept, dtype=object)):
        if to != MARKET_OPERATOR:
            world.desks[to].reply_to(written)
    assert all(desk.closed is None and desk.heard == 0 for desk in world.desks.values())
    assert all(shelf.kept() is None for shelf in world.shelves.values())


ODD_ROWS = (
    Numbers(),
    Numbers(-1),
    Numbers(2**40, b"x"),
    Numbers(3, np.full(72, np.nan).astype("<f8").tobytes()),
    Numbers(4, np.full(96, np.inf).astype("<f4").tobytes()),
    Numbers(1, b"\x00" * 300_000),
)


class Liar(AreaDesk):
    """Answers honestly for a while, then what cannot be."""

    def __init__(self, inner: AreaDesk, seed: int, honest: int) -> None:
        AnsweringDesk.__init__(self, inner.desk)
        self._inner, self._rng, self._honest = inner, np.random.default_rng(seed), honest
        self.closed = None

    def answered(self, letter: Letter) -> AreaAnswer | AreaRefusal | None:
        said = self._inner.answered(letter)
        self._honest -= 1
        return said if self._honest >= 0 else self._nonsense(said)

    def _nonsense(self, said: AreaAnswer | AreaRefusal | None) -> AreaAnswer | AreaRefusal | None:
        odd = ODD_ROWS[int(self._rng.integers(len(ODD_ROWS)))]
        if not isinstance(said, AreaAnswer) or self._rng.random() < 0.3:
            choices = (
                AreaAnswer(odd, {}, odd, odd),
                AreaRefusal(Trouble.FOREIGN, "x" * 100_000),
                BeginRun(1),
                msgspec.Raw(b"\xc1"),
            )
            return choices[int(self._rng.integers(len(choices)))]  # type: ignore[return-value]
        name = str(self._rng.choice(["up", "down", "sums", "most"]))
        value = {7: odd, 10**9: odd} if name == "down" else odd
        return msgspec.structs.replace(said, **{name: value})


@pytest.mark.parametrize("seed", range(12))
def test_nonsense_costs_its_own_area_only(seed: int) -> None:
    """Whoever answers what cannot be has no part; the others' outcome is certified."""
    world = haunted([], seed)
    rng = np.random.default_rng(seed)
    dso = world.outline.dsos[int(rng.integers(len(world.outline.dsos)))]
    world.desks[dso] = Liar(world.desks[dso], seed, int(rng.integers(0, 25)))
    joint = world.run()
    assert joint.silent == (dso,)
    assert joint.unconfirmed == ()
    kept = {name: shelf.kept() for name, shelf in world.shelves.items() if name != dso}
    outcomes = {n: each for found in kept.values() if found is not None for n, each in found.outcomes.items()}
    check_outcome(SMALL, world.outline, outcomes, joint)
