from tests.app.seals import asked, desk_of
from tests.laboratory.instances import instance
from tests.laboratory.joint_clearing import nodes_of, with_random_areas

from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.laboratory.between.area_letters import AreaDesk, reply_in
from flexpeer.laboratory.between.borders import (
    AreaAnswer,
    AreaRefusal,
    Ascend,
    BeginRun,
    Close,
    Numbers,
    Pass,
    Question,
    Trouble,
)

BEGIN = BeginRun(7)
PREDICT = Ascend(Pass.PREDICT, 0, b"", Numbers(), {})


class Line:
    """An operator and a DSO's desk; letters may be lost on the way there."""

    def __init__(self) -> None:
        outline, nodes = nodes_of(with_random_areas(instance(3), 3))
        self.name = outline.dsos[0]
        self.area = AreaDesk(desk_of(self.name), nodes[self.name])
        self.asking = OpenQuestions(desk_of(MARKET_OPERATOR), 1.0, reply_in)
        self.lost = False

    def carried(self, _name: str, written: bytes) -> bytes | None:
        return None if self.lost else self.area.reply_to(written)

    def ask(self, question: Question) -> object:
        return asked(self.asking, self.name, question, self.carried)


def test_questions_are_answered_by_the_node() -> None:
    line = Line()
    assert isinstance(line.ask(BEGIN), AreaAnswer)
    assert not line.area.desk.dropped


def test_a_refusal_is_a_reply() -> None:
    line = Line()
    refused = line.ask(PREDICT)
    assert isinstance(refused, AreaRefusal)


def test_a_letter_missed_is_a_thread_lost() -> None:
    line = Line()
    line.ask(BEGIN)
    line.lost = True
    assert line.ask(PREDICT) is None
    line.lost = False
    told = line.ask(PREDICT)
    assert isinstance(told, AreaRefusal)
    assert told.why is Trouble.LOST
    assert line.area.closed is None
    assert isinstance(line.ask(Close(8, False, "stalled")), AreaAnswer)
    assert line.area.closed is not None
