"""What a silent owner answers: the same for every coordinator."""

from flexpeer.app.ports import OwnerSilent
from flexpeer.market.granting import SILENT, RecordVerdict
from flexpeer.market.trades import Decision, GridVerdict, Match


def silence(match: Match, silent: OwnerSilent) -> RecordVerdict:
    """A refusal for want of an answer."""
    return RecordVerdict(match.match, 0, 0, (GridVerdict(silent.owner, Decision.REFUSED, SILENT),))
