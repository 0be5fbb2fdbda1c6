"""Letters: who is heard, in which talk, and that no letter sent once more does anything."""

import msgspec
from tests.app.seals import DIGEST, Seals, asked, desk_of, nonce

from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.letters import (
    MARKET_OPERATOR,
    MOST_BYTES,
    AnsweringDesk,
    Desk,
    Dropped,
    Head,
    Letter,
    Sort,
)

OTHER_DAY = b"another day".ljust(32)


class Say(msgspec.Struct, frozen=True):
    text: str


class Echo(AnsweringDesk):
    """Says what it has heard, and keeps it."""

    def __init__(self, name: str = "dso", digest: bytes = DIGEST) -> None:
        super().__init__(desk_of(name, digest))
        self.said: list[str] = []

    def answered(self, letter: Letter) -> Say | None:
        try:
            question = msgspec.msgpack.decode(letter.body, type=Say)
        except msgspec.DecodeError:
            return None
        self.said.append(question.text)
        return question


def read(letter: Letter) -> str:
    return msgspec.msgpack.decode(letter.body, type=Say).text


class Line:
    """Carries letters between an operator and a desk, and keeps all of them."""

    def __init__(self, echo: Echo, operator: Desk | None = None) -> None:
        self.echo, self.operator = echo, operator or desk_of(MARKET_OPERATOR)
        self.asking = OpenQuestions(self.operator, 1.0, read)
        self.there: list[bytes] = []
        self.back: list[bytes] = []

    def carried(self, _name: str, written: bytes) -> bytes | None:
        self.there.append(written)
        reply = self.echo.reply_to(written)
        self.back += [] if reply is None else [reply]
        return reply

    def ask(self, text: str) -> str | None:
        return asked(self.asking, "dso", Say(text), self.carried)


def replayed(letters: list[bytes], echo: Echo) -> list[Sort]:
    """What sorts of letters come back."""
    replies = [msgspec.msgpack.decode(reply, type=Letter) for each in letters if (reply := echo.reply_to(each))]
    return [reply.head.sort for reply in replies]


def test_a_hello_then_questions_each_answered_once() -> None:
    line = Line(Echo())
    assert [line.ask(text) for text in ("a", "b")] == ["a", "b"]
    assert [msgspec.msgpack.decode(each, type=Letter).head.sort for each in line.there] == [
        Sort.HELLO,
        Sort.QUESTION,
        Sort.QUESTION,
    ]
    assert line.echo.reply_to(line.there[-1]) == line.back[-1]
    assert line.echo.said == ["a", "b"]
    assert not line.echo.desk.dropped
    assert not line.operator.dropped


def test_what_its_sender_did_not_sign_is_dropped_and_counted() -> None:
    line = Line(Echo())
    line.ask("a")
    good, talk = line.there[-1], (b"", b"")
    forged = Desk(MARKET_OPERATOR, Seals("somebody"), DIGEST, nonce).letter("dso", Sort.HELLO, talk, 3)
    peer = desk_of("dso-9").letter("dso", Sort.HELLO, talk, 3)
    elsewhere = line.operator.letter("dso-9", Sort.HELLO, talk, 3)
    changed = good[:-35] + bytes([good[-35] ^ 1]) + good[-34:]
    reply = line.operator.letter("dso", Sort.REPLY, talk, 3, Say("x"))
    odd = [b"", b"nonsense", b"\x91" * 5_000, good + b"x" * MOST_BYTES]
    for written in (forged, peer, elsewhere, changed, reply, *odd):
        assert line.echo.reply_to(written) is None
    assert line.echo.desk.dropped == {Dropped.NOT_SIGNED: 5, Dropped.UNREADABLE: 4}
    assert (line.ask("b"), line.echo.said) == ("b", ["a", "b"])


def test_what_is_no_question_is_dropped_and_not_the_last() -> None:
    line = Line(Echo())
    line.ask("a")
    head = msgspec.msgpack.decode(line.there[-1], type=Letter).head
    written = line.operator.letter("dso", Sort.QUESTION, (head.to, head.since), head.number + 1)
    assert line.echo.reply_to(written) is None
    assert line.echo.desk.dropped == {Dropped.UNREADABLE: 1}
    assert line.ask("b") == "b"


def test_letters_of_another_day_are_dropped_without_a_word() -> None:
    yesterday = Line(Echo(digest=OTHER_DAY), desk_of(MARKET_OPERATOR, OTHER_DAY))
    yesterday.ask("a")
    today = Line(Echo())
    today.ask("b")
    assert replayed(yesterday.there, today.echo) == []
    assert today.echo.desk.dropped == {Dropped.OTHER_RUN: 2}
    for written in yesterday.back:
        today.asking.received(written, 0.0)
    assert today.operator.dropped == {Dropped.OTHER_RUN: 2}
    assert (today.ask("c"), today.echo.said) == ("c", ["b", "c"])


def test_letters_to_a_program_that_has_ended_do_nothing_to_the_one_that_started_since() -> None:
    """The same day, the same keys, and the same numbers."""
    before = Line(Echo())
    for text in ("a", "b"):
        before.ask(text)
    echo = Echo()
    assert replayed(before.there, echo) == [Sort.WELCOME] * 3
    assert (echo.said, echo.heard, echo.desk.dropped) == ([], 0, {Dropped.OTHER_START: 2})
    after = Line(echo)
    assert (after.ask("c"), after.ask("d")) == ("c", "d")
    replayed(before.there, echo)
    for written in [*before.back, *after.back]:
        after.asking.received(written, 0.0)
    assert (after.ask("e"), echo.said) == ("e", ["c", "d", "e"])


def test_letters_of_an_asker_that_has_ended_do_nothing_once_another_has_begun() -> None:
    """Nor does a question that it wrote and that never came."""
    echo = Echo()
    first = Line(echo)
    first.ask("a")
    late = Line(echo)
    late.ask("late")
    assert echo.said == ["a", "late"]
    kept = Line(echo)
    greeted = kept.carried("dso", kept.operator.letter("dso", Sort.HELLO, (b"", b"kept"), 1))
    assert greeted is not None
    fresh = msgspec.msgpack.decode(greeted, type=Letter).head.since
    never_came = kept.operator.letter("dso", Sort.QUESTION, (fresh, b"kept"), 2, Say("never"))
    now = Line(echo)
    assert now.ask("now") == "now"
    assert set(replayed([*first.there, *late.there, never_came], echo)) == {Sort.WELCOME}
    assert (now.ask("then"), echo.said) == ("then", ["a", "late", "now", "then"])


def test_who_starts_again_is_asked_again_at_once() -> None:
    line = Line(Echo())
    line.ask("a")
    line.echo = Echo()
    assert (line.ask("b"), line.echo.said) == ("b", ["b"])
    assert line.echo.desk.dropped == {Dropped.OTHER_START: 1}


def test_nobody_sends_welcomes_for_ever() -> None:
    operator, dso = desk_of(MARKET_OPERATOR), desk_of("dso")
    asking, count = OpenQuestions(operator, 1.0, read), 0

    def welcome(_name: str, written: bytes) -> bytes:
        nonlocal count
        count += 1
        head: Head = msgspec.msgpack.decode(written, type=Letter).head
        return dso.letter(MARKET_OPERATOR, Sort.WELCOME, (head.since, b"%d" % count), head.number)

    asking.begin([("dso", Say("a"))], 0.0)
    for step in range(40):
        for name, written in asking.due(step / 10):
            asking.received(welcome(name, written), step / 10)
    assert (asking.next_s, asking.replies) == (None, [None])
    assert count < 12
