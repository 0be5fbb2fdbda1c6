"""The delivery day as half-open market time units (MTU): UTC inside, local time outside.

Instants are integer minutes since 1970-01-01T00:00Z. Inside a market an MTU is its index in the
delivery day; `Span(first, end)` is half-open over those indexes. A day has 24 h x 60 / `mtu_minutes`
units, 92 or 100 quarter-hours (23 or 25 hours) when daylight saving time begins or ends.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import msgspec

MTU_MINUTES = (15, 60)


class Span(msgspec.Struct, frozen=True, order=True):
    """Consecutive MTUs `first` <= t < `end`."""

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first

    @property
    def mtus(self) -> range:
        """The MTU indexes of the span."""
        return range(self.first, self.end)

    def covers(self, other: "Span") -> bool:
        """Whether `other` lies within this span."""
        return self.first <= other.first and other.end <= self.end


class MarketDay(msgspec.Struct, frozen=True, dict=True):
    """One delivery day: local `delivery_day` in `timezone`, cut into MTUs of `mtu_minutes`."""

    delivery_day: date
    timezone: str
    mtu_minutes: int

    @cached_property
    def start(self) -> int:
        """Instant of the first MTU."""
        return local_midnight(self.delivery_day, self.timezone)

    @cached_property
    def mtu_count(self) -> int:
        """MTUs of the day; 23- and 25-hour days included."""
        end = local_midnight(self.delivery_day + timedelta(days=1), self.timezone)
        return (end - self.start) // self.mtu_minutes

    def instant(self, mtu: int) -> int:
        """Start of an MTU; `mtu_count` gives the end of the day."""
        return self.start + mtu * self.mtu_minutes

    def mtu_at(self, instant: int) -> int | None:
        """Index of the MTU that starts at `instant` (the end of the day included), else None."""
        index, rest = divmod(instant - self.start, self.mtu_minutes)
        return index if rest == 0 and 0 <= index <= self.mtu_count else None

    def span(self, start: int, end: int) -> Span | None:
        """The MTUs from instant to instant, or None if they are not whole MTUs of this day."""
        first, last = self.mtu_at(start), self.mtu_at(end)
        return Span(first, last) if first is not None and last is not None and first < last else None

    def touched(self, start: int, end: int) -> range:
        """The MTUs of this day that something between two instants touches, even in part; empty if none."""
        first = max(0, (start - self.start) // self.mtu_minutes)
        last = min(self.mtu_count, -((self.start - end) // self.mtu_minutes))
        return range(first, max(first, last))

    def hour_starts(self) -> list[int]:
        """Index of the first MTU of each clock hour, plus `mtu_count` at the end."""
        step = 60 // self.mtu_minutes
        return [*range(0, self.mtu_count, step), self.mtu_count]

    def later(self, days: int) -> "MarketDay":
        """The delivery day some days later."""
        return MarketDay(self.delivery_day + timedelta(days=days), self.timezone, self.mtu_minutes)

    def local(self, mtu: int) -> str:
        """Start of an MTU as ISO 8601 local time with its offset."""
        return local_text(self.instant(mtu), self.timezone)

    def earlier(self, mtu: int, days_before: int) -> int:
        """Instant at which local clocks showed the same time some days before.

        A time that a day had twice is the first of the two, or the same of the two as here; one that it skipped is as
        long after the change as it would have been.
        """
        zone = ZoneInfo(self.timezone)
        here = datetime.fromtimestamp(self.instant(mtu) * 60, UTC).astimezone(zone)
        then = datetime.combine(here.date() - timedelta(days=days_before), here.time(), zone)
        return int(then.timestamp()) // 60

    def at(self, days_before: int, clock: str) -> int:
        """Instant of a local wall-clock time (`HH:MM`) some days before delivery."""
        day = self.delivery_day - timedelta(days=days_before)
        moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(self.timezone))
        return int(moment.timestamp()) // 60


def local_midnight(day: date, timezone: str) -> int:
    """Instant at which a local day begins."""
    return int(datetime.combine(day, time(), ZoneInfo(timezone)).timestamp()) // 60


def local_text(instant: int, timezone: str) -> str:
    """An instant as ISO 8601 local time with its offset, to the minute."""
    moment = datetime.fromtimestamp(instant * 60, UTC).astimezone(ZoneInfo(timezone))
    return moment.isoformat(timespec="minutes")


def parse_instant(text: str) -> int:
    """Instant of an ISO 8601 time with offset; raises `ValueError` without offset or with seconds."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no UTC offset")
    minutes, seconds = divmod(moment.timestamp(), 60)
    if seconds:
        raise ValueError("not a whole minute")
    return int(minutes)
