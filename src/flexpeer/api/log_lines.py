"""The published log as lines of the chain, and its seal."""

from collections.abc import Iterator

import msgspec

from flexpeer.api.published import Published
from flexpeer.market.machine import state_hash
from flexpeer.wire.chain import GENESIS, Seal, canonical, record_line

AT_ONCE = 500


def lines(published: Published, count: int, after: int, *, sealed: bool) -> Iterator[bytes]:
    """The first `count` records but for the first `after`, some hundreds at once; with the seal where wanted."""
    state = published.state
    piece, prev = [], GENESIS
    for n, event in enumerate(published.events[:count], 1):
        line, prev = record_line(n, prev, canonical(event))
        if n > after:
            piece.append(line)
        if len(piece) >= AT_ONCE:
            yield b"".join(piece)
            piece = []
    if sealed and state.events == count:
        piece.append(_seal(count, prev, state_hash(state))[0])
    yield b"".join(piece)


def sealed_head(published: Published, digest: str) -> str:
    """The hash of the seal that would end the log now, for a state of this hash."""
    prev = GENESIS
    for n, event in enumerate(published.events, 1):
        _, prev = record_line(n, prev, canonical(event))
    return _seal(len(published.events), prev, digest)[1]


def _seal(count: int, prev: str, digest: str) -> tuple[bytes, str]:
    return record_line(count + 1, prev, msgspec.json.encode(Seal(count, digest)), kind="seal")
