"""A market operator that stops in the middle of a run, says so, and goes on when it is told to.

`python -m tests.laboratory.paused_operator SHARES HOST:PORT TIMEOUT_S DSO`: before a question to that DSO it prints
`middle` and waits for a line; then `answered` or `silent`, and at the end how it ended as JSON.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flexpeer.adapters.ed25519 import read_keys
from flexpeer.adapters.meeting_place import nonce
from flexpeer.adapters.nats_areas import NatsAreas
from flexpeer.adapters.nats_servers import hub
from flexpeer.adapters.server_files import ServerCredentials
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk
from flexpeer.laboratory.between.area_letters import reply_in
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import Question, Reply
from flexpeer.laboratory.between.coordination import clear_together
from flexpeer.laboratory.engines.shares import digest_of
from flexpeer.laboratory.files.share_files import OUTLINE, read_outline

MIDDLE = 20


class Paused:
    """Stops before one question to a DSO in the middle of the run."""

    def __init__(self, areas: Areas, dso: str) -> None:
        self._areas, self._dso, self._asked = areas, dso, 0

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        self._asked += any(dso == self._dso for dso, _ in questions)
        if self._asked != MIDDLE:
            return self._areas.ask(questions)
        self._asked += 1
        print("middle", flush=True)
        sys.stdin.readline()
        replies = self._areas.ask(questions)
        print("answered" if None not in replies else "silent", flush=True)
        return replies


def main(shares: Path, listen: str, timeout_s: float, dso: str) -> None:
    signatures, outline = read_keys(MARKET_OPERATOR, shares), read_outline(shares / OUTLINE)
    digest = digest_of(outline.import_price, outline.export_price)
    with (
        hub(listen, ServerCredentials(signatures, shares), outline.dsos) as server,
        NatsAreas(Desk(MARKET_OPERATOR, signatures, digest, nonce), server, timeout_s, reply_in) as areas,
    ):
        found = clear_together(outline, Paused(areas, dso), lambda _text: None)
    print(json.dumps(asdict(found) | {"gap": found.gap}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
