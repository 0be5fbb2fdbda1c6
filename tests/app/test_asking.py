from tests.app.seals import Seals

from flexpeer.app.between.asking import AGAIN_S, Asking
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk, Dropped
from flexpeer.laboratory.between.area_letters import reply_in
from flexpeer.laboratory.between.borders import Answer, Begin, Close, Numbers, Refusal, Trouble

ANSWER = Answer(Numbers(), {}, Numbers(), Numbers())


def asking() -> tuple[Asking, Desk]:
    desk = Desk(MARKET_OPERATOR, Seals(MARKET_OPERATOR))
    return Asking(desk, 7, 2.0, reply_in), desk


def reply(dso: str, number: int, *, run: int = 7) -> bytes:
    return Desk(dso, Seals(dso)).letter(MARKET_OPERATOR, run, number, ANSWER)


def test_a_question_is_sent_again_until_its_time_is_up() -> None:
    ask, _ = asking()
    ask.begin([("a", Begin(1)), ("b", Begin(1))], 10.0)
    first = ask.due(10.0)
    assert [dso for dso, _ in first] == ["a", "b"]
    ask.received(reply("b", 1), 10.1)
    times = []
    while ask.next_s is not None:
        now = ask.next_s
        letters = ask.due(now)
        times += [now] * len(letters)
        assert set(letters) <= set(first)
    assert times == [10.0 + AGAIN_S * n for n in (1, 2, 3)]
    assert ask.replies == [None, ANSWER]
    assert ask.sent_bytes["a"] == len(first[0][1])


def test_one_question_at_a_time_to_each_in_order() -> None:
    ask, _ = asking()
    ask.begin([("a", Begin(1)), ("a", Close(1, False, "x"))], 0.0)
    assert len(ask.due(0.0)) == 1
    assert not ask.due(0.1)
    ask.received(reply("a", 1), 0.2)
    assert len(ask.due(0.2)) == 1
    assert ask.replies == [ANSWER, None]
    ask.received(reply("a", 2), 0.3)
    assert (ask.next_s, list(ask.replies)) == (None, [ANSWER, ANSWER])


def test_who_is_silent_is_asked_no_more_questions() -> None:
    ask, _ = asking()
    ask.begin([("a", Begin(1)), ("a", Begin(2))], 0.0)
    assert ask.due(0.0)
    assert not ask.due(2.0)
    assert (ask.next_s, list(ask.replies)) == (None, [None, None])


def test_replies_to_nothing_under_way_are_dropped() -> None:
    ask, desk = asking()
    ask.begin([("a", Begin(1))], 0.0)
    refusal = Desk("a", Seals("a")).letter(MARKET_OPERATOR, 7, 1, Refusal(Trouble.LOST, "x"))
    for written in (reply("b", 1), reply("a", 2), reply("a", 1, run=6), b"nonsense"):
        ask.received(written, 0.1)
    ask.received(Desk("a", Seals("a")).letter(MARKET_OPERATOR, 7, 1, Begin(1)), 0.1)
    assert ask.replies == [None]
    assert desk.dropped == {Dropped.OLD: 3, Dropped.UNREADABLE: 2}
    ask.received(refusal, 0.2)
    ask.received(reply("a", 1), 0.3)
    assert ask.replies == [Refusal(Trouble.LOST, "x")]
    assert desk.dropped[Dropped.OLD] == 4
