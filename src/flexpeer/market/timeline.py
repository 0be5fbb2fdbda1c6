"""The stages of a market day, in order: each is reached once, at an instant of the rulebook's `[timeline]`."""

from datetime import date, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.periods import MarketDay, local_midnight


class Stage(StrEnum):
    """How far a day is."""

    UNKNOWN = ""
    ANNOUNCED = "announced"
    OPEN = "open"
    CLOSED = "closed"
    CLEARED = "cleared"
    CONFIRMED = "confirmed"
    DELIVERED = "delivered"
    VERIFIED = "verified"
    SETTLED = "settled"

    @property
    def place(self) -> int:
        """Its place among the stages; 0 before the first."""
        return _ORDER[self]


_ORDER = {stage: place for place, stage in enumerate(Stage)}


class ReachStage(msgspec.Struct, frozen=True, tag=True):
    """Command: everything of a stage is done; `at` is its instant."""

    stage: Stage
    at: int


class StageReached(msgspec.Struct, frozen=True, tag=True):
    """A stage is done."""

    stage: Stage
    at: int


class Moment(msgspec.Struct, frozen=True):
    """A local wall-clock time (`HH:MM`) some days from delivery: D-1 09:00 is -1 and "09:00"."""

    days: int
    clock: str

    def of(self, day: MarketDay) -> int:
        """Its instant."""
        return day.at(-self.days, self.clock)


class Timeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When what happens: needs published and the gate open, the gate closed, and so on.

    Without `settlement` the market is settled at the end of the month in which delivery is verified.
    """

    need: Moment = Moment(-2, "10:30")
    gate_closure: Moment = Moment(-1, "09:00")
    clearing: Moment = Moment(-1, "09:30")
    confirmation: Moment = Moment(-1, "10:30")
    metering: Moment = Moment(1, "07:00")
    verification: Moment = Moment(5, "12:00")
    settlement: Moment | None = None

    def instants(self, day: MarketDay) -> tuple[tuple[Stage, int], ...]:
        """The instant of each stage but the first, which has none."""
        moments = (self.need, self.gate_closure, self.clearing, self.confirmation, self.metering, self.verification)
        verified = day.delivery_day + timedelta(days=self.verification.days)
        settled = _month_end(verified, day.timezone) if self.settlement is None else self.settlement.of(day)
        return tuple(zip(tuple(Stage)[2:], (*(m.of(day) for m in moments), settled), strict=True))


def _month_end(day: date, timezone: str) -> int:
    following = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)
    return local_midnight(following, timezone)


class Stages(msgspec.Struct, frozen=True):
    """The last stage reached, and when each was."""

    stage: Stage = Stage.UNKNOWN
    at: tuple[tuple[Stage, int], ...] = ()


def reach(stages: Stages, command: ReachStage) -> list[StageReached | CommandRefused]:
    """The next stage; each once and in order."""
    if command.stage.place != stages.stage.place + 1:
        return [CommandRefused("ReachStage", str(command.stage), Reason.STAGE_OUT_OF_ORDER, str(stages.stage))]
    return [StageReached(command.stage, command.at)]


def evolve(stages: Stages, event: object) -> Stages:
    """The stages after an event."""
    if not isinstance(event, StageReached):
        return stages
    return replace(stages, stage=event.stage, at=(*stages.at, (event.stage, event.at)))
