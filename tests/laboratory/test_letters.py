from tests.app.seals import Seals
from tests.laboratory.instances import instance
from tests.laboratory.joint_clearing import nodes_of, with_random_areas

from flexpeer.app.between.letters import MARKET_OPERATOR, Desk, Dropped
from flexpeer.laboratory.between.area_letters import AreaDesk, reply_in
from flexpeer.laboratory.between.borders import Answer, Ascend, Begin, Close, Numbers, Pass, Refusal, Trouble

BEGIN = Begin(7)


def desks() -> tuple[Desk, AreaDesk]:
    outline, nodes = nodes_of(with_random_areas(instance(3), 3))
    name = outline.dsos[0]
    return Desk(MARKET_OPERATOR, Seals(MARKET_OPERATOR)), AreaDesk(Desk(name, Seals(name)), nodes[name])


def test_a_question_is_answered_and_asked_again_gets_the_same_letter() -> None:
    operator, area = desks()
    question = operator.letter(area.desk.name, 7, 1, BEGIN)
    reply = area.reply_to(question)
    assert reply is not None
    letter = operator.opened(reply)
    assert letter is not None
    assert isinstance(reply_in(letter), Answer)
    assert (letter.head.sender, letter.head.run, letter.head.number) == (area.desk.name, 7, 1)
    assert area.reply_to(question) == reply
    assert not area.desk.dropped


def test_what_its_sender_did_not_sign_is_dropped_and_counted() -> None:
    operator, area = desks()
    good = operator.letter(area.desk.name, 7, 1, BEGIN)
    forged = Desk(MARKET_OPERATOR, Seals("somebody")).letter(area.desk.name, 7, 1, BEGIN)
    peer = Desk("dso-9", Seals("dso-9")).letter(area.desk.name, 7, 1, BEGIN)
    elsewhere = operator.letter("dso-9", 7, 1, BEGIN)
    changed = good[:-35] + bytes([good[-35] ^ 1]) + good[-34:]
    for written in (forged, peer, elsewhere, changed, b"", b"nonsense"):
        assert area.reply_to(written) is None
    assert area.desk.dropped == {Dropped.NOT_SIGNED: 4, Dropped.UNREADABLE: 2}
    assert area.reply_to(good) is not None


def test_an_old_letter_does_nothing() -> None:
    operator, area = desks()
    letters = [operator.letter(area.desk.name, run, number, BEGIN) for run, number in ((7, 1), (7, 2), (8, 1))]
    assert all(area.reply_to(written) is not None for written in letters)
    assert area.reply_to(letters[0]) is None
    assert area.reply_to(letters[1]) is None
    assert area.desk.dropped == {Dropped.OLD: 2}


def test_a_refusal_is_a_reply() -> None:
    operator, area = desks()
    reply = area.reply_to(operator.letter(area.desk.name, 7, 1, Ascend(Pass.PREDICT, 0, b"", Numbers(), {})))
    assert reply is not None
    letter = operator.opened(reply)
    assert letter is not None
    assert isinstance(reply_in(letter), Refusal)


def test_a_letter_missed_is_a_thread_lost() -> None:
    operator, area = desks()
    predict = Ascend(Pass.PREDICT, 0, b"", Numbers(), {})
    for number, message in ((1, BEGIN), (3, predict), (5, Close(8, False, "stalled"))):
        reply = area.reply_to(operator.letter(area.desk.name, 7, number, message))
        assert reply is not None
        letter = operator.opened(reply)
        assert letter is not None
        told = reply_in(letter)
        assert isinstance(told, Refusal) == (number == 3)
        assert not isinstance(told, Refusal) or told.why is Trouble.LOST
        assert (area.closed is not None) == (number == 5)
