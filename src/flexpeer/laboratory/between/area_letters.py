"""A DSO's desk in a clearing between organisations."""

import msgspec

from flexpeer.app.between.letters import MARKET_OPERATOR, AnsweringDesk, Desk, Letter
from flexpeer.laboratory.between.area_node import AreaNode
from flexpeer.laboratory.between.borders import AreaAnswer, AreaRefusal, BeginRun, Close, Question, Reply, Trouble

_QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class AreaDesk(AnsweringDesk):
    """A DSO's desk in a clearing: the node answers. `closed` is how the run ended, once that was heard here."""

    def __init__(self, desk: Desk, node: AreaNode, asker: str = MARKET_OPERATOR) -> None:
        super().__init__(desk, asker)
        self._node = node
        self.closed: Close | None = None

    def answered(self, letter: Letter) -> Reply | None:
        """By the node; a question that does not follow the one before is refused."""
        try:
            question = _QUESTIONS.decode(letter.body)
        except (msgspec.DecodeError, RecursionError):
            return None
        number = letter.head.number
        if not isinstance(question, BeginRun | Close) and number - 1 != self._last:
            return AreaRefusal(Trouble.LOST, f"letter {number}")
        reply = self._node.answer(question)
        if isinstance(question, Close) and isinstance(reply, AreaAnswer):
            self.closed = question
        return reply


def reply_in(letter: Letter) -> Reply | None:
    """The reply a letter carries; None if it carries none."""
    try:
        return _REPLIES.decode(letter.body)
    except (msgspec.DecodeError, RecursionError):
        return None
