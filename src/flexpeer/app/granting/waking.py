"""What wakes meetings that sleep, and what a silent owner answers: the same for every coordinator."""

from flexpeer.app.ports import OwnerSilent
from flexpeer.market.granting import SILENT, RecordVerdict
from flexpeer.market.trades import Decision, GridVerdict, Match

WAKE_SLACK_PPM = 100
"""How much of its limit an element must have more room than when it bound, before meetings wake."""


def silence(match: Match, silent: OwnerSilent) -> RecordVerdict:
    """A refusal for want of an answer."""
    return RecordVerdict(match.match, 0, 0, (GridVerdict(silent.owner, Decision.REFUSED, SILENT),))
