import msgspec
from tests.app.seals import desk_of

from flexpeer.app.between.asking import AGAIN_S, OpenQuestions
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk, Dropped, Letter, Sort
from flexpeer.wire.grants import Begin, Done, Reply, Respond

START = b"start"


def read(letter: Letter) -> Reply | str:
    try:
        found: Reply = msgspec.msgpack.decode(letter.body, type=Reply)
    except msgspec.DecodeError:
        return "nothing"
    return found


def asking() -> tuple[OpenQuestions, Desk]:
    desk = desk_of(MARKET_OPERATOR)
    return OpenQuestions(desk, 2.0, read), desk


def head_of(written: bytes) -> tuple[Sort, bytes, int]:
    head = msgspec.msgpack.decode(written, type=Letter).head
    return head.sort, head.since, head.number


def reply(dso: str, since: bytes, number: int, *, sort: Sort = Sort.REPLY, start: bytes = START) -> bytes:
    message = None if sort is Sort.WELCOME else Done()
    return desk_of(dso).letter(MARKET_OPERATOR, sort, (since, start), number, message)


def greeted(ask: OpenQuestions, *dsos: str) -> bytes:
    """Everybody has been asked and has answered once; the asker's nonce."""
    ask.begin([(dso, Begin(0)) for dso in dsos], 0.0)
    since = b""
    while ask.next_s is not None:
        for dso, written in ask.due(0.0):
            sort, since, number = head_of(written)
            answer = Sort.WELCOME if sort is Sort.HELLO else Sort.REPLY
            ask.received(reply(dso, since, number, sort=answer), 0.0)
    assert ask.replies == [Done()] * len(dsos)
    return since


def test_a_question_is_sent_again_until_its_time_is_up() -> None:
    ask, _ = asking()
    since = greeted(ask, "a", "b")
    ask.begin([("a", Begin(1)), ("b", Begin(1))], 10.0)
    before = ask.sent_bytes["a"]
    first = ask.due(10.0)
    assert [dso for dso, _ in first] == ["a", "b"]
    ask.received(reply("b", since, 3), 10.1)
    times = []
    while ask.next_s is not None:
        now = ask.next_s
        letters = ask.due(now)
        times += [now] * len(letters)
        assert set(letters) <= set(first)
    assert times == [10.0 + AGAIN_S * n for n in (1, 2, 3)]
    assert ask.replies == [None, Done()]
    assert ask.sent_bytes["a"] == before


def test_one_question_at_a_time_to_each_in_order() -> None:
    ask, _ = asking()
    since = greeted(ask, "a")
    ask.begin([("a", Begin(1)), ("a", Respond())], 0.0)
    assert len(ask.due(0.0)) == 1
    assert not ask.due(0.1)
    ask.received(reply("a", since, 3), 0.2)
    assert len(ask.due(0.2)) == 1
    assert ask.replies == [Done(), None]
    ask.received(reply("a", since, 4), 0.3)
    assert (ask.next_s, list(ask.replies)) == (None, [Done(), Done()])


def test_who_is_silent_is_asked_no_more_questions() -> None:
    ask, _ = asking()
    ask.begin([("a", Begin(1)), ("a", Begin(2))], 0.0)
    assert ask.due(0.0)
    assert not ask.due(2.0)
    assert (ask.next_s, list(ask.replies)) == (None, [None, None])


def test_replies_to_nothing_under_way_are_dropped() -> None:
    ask, desk = asking()
    since = greeted(ask, "a")
    ask.begin([("a", Begin(1))], 0.0)
    for written in (reply("b", since, 3), reply("a", since, 4), reply("a", since, 2), b"nonsense"):
        ask.received(written, 0.1)
    for written in (
        reply("a", b"other", 3),
        reply("a", since, 3, start=b"other"),
        reply("a", since, 3, sort=Sort.HELLO),
    ):
        ask.received(written, 0.1)
    assert ask.replies == [None]
    assert desk.dropped == {Dropped.OLD: 3, Dropped.UNREADABLE: 1, Dropped.OTHER_START: 3}
    ask.received(reply("a", since, 3), 0.2)
    ask.received(reply("a", since, 3), 0.3)
    assert ask.replies == [Done()]
    assert desk.dropped[Dropped.OLD] == 4


def test_a_letter_without_a_reply_is_a_reply_of_nothing() -> None:
    ask, _ = asking()
    since = greeted(ask, "a")
    ask.begin([("a", Begin(1))], 0.0)
    ask.received(desk_of("a").letter(MARKET_OPERATOR, Sort.REPLY, (since, START), 3, Begin(1)), 0.1)
    assert (ask.next_s, ask.replies) == (None, ["nothing"])
