"""The clearing at gate closure with a share in another program: the same outcome, and no harm from one that babbles."""

from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

import msgspec
import pytest
from tests.cases.days import NoWatch
from tests.cases.random_clearings import day_of, looked_at
from tests.market.small_market import MemoryLog

from flexpeer.app.between import remote_share
from flexpeer.app.between.gate_calls import CALLS, read_value, written_value
from flexpeer.app.between.remote_share import HostedShare, far_share
from flexpeer.app.day import Day
from flexpeer.app.gate.share import GateShare
from flexpeer.app.granting.point_coordinator import PointCoordinator
from flexpeer.app.ports import OwnerSilent, Share, ShareLost
from flexpeer.market.machine import Event
from flexpeer.market.trades import OrdersCleared
from flexpeer.wire.gate import GateHolding
from flexpeer.wire.grants import CannotAnswer, GateCall, GateMore, GateValue

Spoil = Callable[[int, bytes], bytes]


class There:
    """A program that hosts the share of a DSO; `spoil` changes what its nth answer says."""

    def __init__(self, dso: str, held: GateHolding, spoil: Spoil) -> None:
        self._dso, self._spoil, self._answers = dso, spoil, 0
        self._hosted = HostedShare(frozenset(each.resource for each in held.resources), GateShare)

    def ask_gate(self, question: GateCall | GateMore) -> GateValue:
        reply = self._hosted.answer(question)
        self._answers += 1
        if isinstance(reply, CannotAnswer):
            raise ShareLost(self._dso)
        assert isinstance(reply, GateValue)
        return GateValue(reply.parts, self._spoil(self._answers, reply.data))

    def refuse(self, _reason: str) -> NoReturn:
        raise OwnerSilent(self._dso)


def elsewhere(monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> list[There]:
    """From now on every share is in a program of its own."""
    made: list[There] = []

    def share(_: PointCoordinator, dso: str, held: GateHolding) -> Share:
        made.append(There(dso, held, spoil))
        return far_share(held, made[-1])

    monkeypatch.setattr(PointCoordinator, "share", share)
    return made


def events_of(seed: int) -> list[Event]:
    log = MemoryLog()
    Day(day_of(seed), log, NoWatch()).run()
    return log.events


@pytest.mark.parametrize("seed", range(25))
def test_a_share_elsewhere_comes_to_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In letters of a few hundred bytes, too."""
    here = events_of(seed)
    if seed % 5 == 0:
        monkeypatch.setattr(remote_share, "PART_BYTES", 700)
    made = elsewhere(monkeypatch, lambda _, data: data)
    assert events_of(seed) == here
    assert made or not any(isinstance(event, OrdersCleared) for event in here)


def babbled(chance: Random, data: bytes) -> bytes:
    """Another answer: of another type, or with something else in one place of it."""
    odd: list[Any] = [None, True, -1, 0, 2**62, float("inf"), float("nan"), 1e300, "x", b"", [], [[]], {"a": 1}]
    if chance.random() < 0.2:
        return chance.choice([b"", b"\xc1", b"\x91" * 2_000, msgspec.msgpack.encode(chance.choice(odd))])

    def other(value: Any) -> Any:
        if isinstance(value, list) and value and chance.random() < 0.8:
            place = chance.randrange(len(value))
            return [*value[:place], other(value[place]), *value[place + 1 :]]
        if isinstance(value, bytes) and len(value) >= 8 and chance.random() < 0.8:
            place = chance.randrange(len(value) // 8) * 8
            return value[:place] + chance.choice([b"\xff" * 8, b"\x00" * 8, chance.randbytes(8)]) + value[place + 8 :]
        return chance.choice(odd)

    return msgspec.msgpack.encode(other(msgspec.msgpack.decode(data)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(40))
def test_a_share_that_babbles_robs_nobody(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one of its answers on, once or always: the day ends, nobody is past a limit, the account is never short."""
    chance = Random(seed)
    first, always = chance.randint(2, 200), chance.random() < 0.5

    def spoil(number: int, data: bytes) -> bytes:
        return babbled(chance, data) if data and (number == first or (always and number > first)) else data

    elsewhere(monkeypatch, spoil)
    assert looked_at(day_of(seed)).wrong == ()


def test_values_come_back_as_they_are_or_not_at_all() -> None:
    held = next(iter_holdings())
    share = GateShare(held)
    for name in ("opening", "standing", "used", "worth", "moves_w", "least_gain"):
        call, value = CALLS[name], getattr(share, name)()
        again = read_value(call, written_value(value))
        assert written_value(again) == written_value(value)
        with pytest.raises((ValueError, msgspec.ValidationError)):
            read_value(call, b"\x81\xa1x\x01")


def iter_holdings() -> Any:
    held: list[GateHolding] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PointCoordinator, "share", lambda _, _dso, each: held.append(each))
        events_of(3)
    return iter(held)


def test_a_host_refuses_resources_of_others_and_calls_that_are_none() -> None:
    held = next(iter_holdings())
    host = HostedShare(frozenset(), GateShare)
    begin = GateCall("begin", 0, 1, msgspec.msgpack.encode(held))
    assert isinstance(host.answer(begin), CannotAnswer)
    host = HostedShare(frozenset(each.resource for each in held.resources), GateShare)
    assert isinstance(host.answer(GateCall("used", 0, 1, b"\x90")), CannotAnswer)
    assert isinstance(host.answer(begin), GateValue)
    for name, data in (("offer", b"\x90"), ("used", b"\x91\x01"), ("__init__", b"\x90"), ("halve", b"")):
        assert isinstance(host.answer(GateCall(name, 0, 1, data)), CannotAnswer)
    assert isinstance(host.answer(GateCall("used", 1, 2, b"")), CannotAnswer)
    assert isinstance(host.answer(GateMore(7)), CannotAnswer)
    assert isinstance(host.answer(GateCall("used", 0, 1, b"\x90")), GateValue)
