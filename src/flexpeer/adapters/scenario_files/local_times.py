"""Times as people write them, with or without offset: read where they can mean one instant only."""

import re
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from flexpeer.adapters.scenario_files import cells
from flexpeer.adapters.scenario_files.cells import Doubt
from flexpeer.periods import MarketDay

_DATE_FIRST: Final = re.compile(
    r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})"
    r"(?:[ T]+([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?))?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::00)?")
OFFSET_EXPECTED: Final = "the time with its offset, such as {}"


class LocalTimes:
    """Times of one scenario: without offset they are of its time zone."""

    def __init__(self, day: MarketDay | None) -> None:
        self._zone = ZoneInfo(day.timezone) if day else UTC
        self._day = day.delivery_day if day else date(2000, 1, 1)

    def instant(self, text: str) -> int:
        """Minutes since 1970 UTC; `Doubt` where the text can mean two instants."""
        written = self._iso(text)
        try:
            local = datetime.fromisoformat(written)
        except ValueError:
            return int(cells.instant(text))
        if local.tzinfo is not None:
            return int(cells.instant(written))
        return int(cells.instant(self._with_offset(local).isoformat()))

    def clock(self, text: str) -> str | None:
        """A time of day, such as 10:00, as a time of the delivery day; None for any other text."""
        found = _CLOCK.fullmatch(text)
        if found is None or int(found[1]) > 23:
            return None
        return f"{self._day}T{int(found[1]):02}:{found[2]}"

    def _iso(self, text: str) -> str:
        """Dates such as 15.01.2026 and 15/01/2026 in the order of ISO 8601; other texts as they are."""
        found = _DATE_FIRST.fullmatch(text)
        if found is None or (found[2] == "-" and len(found[1]) == 4 and len(found[3]) == 2):
            return text
        first, mark, second, third = found[1], found[2], found[3], found[4]
        clock, offset = (found[5] or "00:00").rjust(5, "0"), found[6] or ""
        if len(first) == 4:
            year, month, day = first, second, third
        elif mark == "." or int(first) > 12 or first == second:
            year, month, day = third, second, first
        elif int(second) > 12:
            year, month, day = third, first, second
        else:
            readings = (f"{third}-{int(b):02}-{int(a):02}" for a, b in ((first, second), (second, first)))
            raise Doubt("date", f"may be {' or '.join(readings)}", "a date as YYYY-MM-DD or DD.MM.YYYY")
        return f"{year:0>4}-{int(month):02}-{int(day):02}T{clock}{offset}"

    def _with_offset(self, local: datetime) -> datetime:
        earlier, later = (local.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if earlier.utcoffset() == later.utcoffset():
            return earlier
        shown = [each.astimezone(UTC).astimezone(self._zone) for each in (earlier, later)]
        one, other = (each.isoformat(timespec="minutes") for each in shown)
        if shown[0].replace(tzinfo=None) == local:
            raise Doubt("twice", f"may be {one} or {other}: clocks go back then", f"its offset too, as in {one}")
        raise Doubt("skipped", f"is skipped in {self._zone}: clocks go forward then", f"a time there is, such as {one}")
