"""Units as orders name them: whose one is, and through which DSO its orders come."""

from typing import NamedTuple

from flexpeer.api.documents import dsos_of
from flexpeer.api.permissions import Owned
from flexpeer.app.day import Day
from flexpeer.market.participants import Participants


class ServedUnit(NamedTuple):
    """A resource, a portfolio or a DSO's own.

    One that came after the needs were found takes no part: grid owners could not answer for it on this day.
    """

    owned: Owned
    via: str
    takes_part: bool


class ServedUnits:
    """Those of a day with these participants, each found once."""

    def __init__(self, people: Participants, day: Day) -> None:
        self.people, self.day = people, day
        self._known: dict[str, ServedUnit] = {}

    def of(self, name: str) -> ServedUnit | None:
        """The unit of this name, if there is one."""
        known = self._known.get(name)
        if known is not None:
            return known
        owner = self.people.organisation_of(name)
        if owner is None:
            return None
        dsos = dsos_of(self.people, name)
        takes_part = all(member.resource in self.day.dso_of for member in self.people.members(name))
        unit = self._known[name] = ServedUnit(Owned(owner, dsos), dsos[0] if dsos else owner, takes_part)
        return unit
