"""Signed heads: what the operator said a log was when a stage was reached, kept by whoever got it.

The operator signs, with Ed25519, a text of six lines, each ended by a line feed:

    flexpeer head / market / stage / n / hash / instant

A head is one JSON object as `GET /api/Heads` lists it. A log that is whole and has the head's hash at its number is the
log that was signed, up to there: every hash stands on all before it.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from flexpeer.wire.chain import Damage, Record


class SignedHead(msgspec.Struct, frozen=True, rename="camel"):
    """Number and hash of a log's last record at a stage. `at` is an instant in UTC; key and signature are in hex."""

    market_id: str
    stage: str
    n: int
    hash: str
    at: str
    public_key: str
    signature: str

    @property
    def text(self) -> bytes:
        """What is signed."""
        return head_text(self.market_id, self.stage, self.n, self.hash, self.at)


def head_text(market_id: str, stage: str, n: int, digest: str, at: str) -> bytes:
    """What the operator signs."""
    return "".join(f"{line}\n" for line in ("flexpeer head", market_id, stage, n, digest, at)).encode()


def contradictions(lines: Sequence[bytes], heads: Iterable[SignedHead]) -> Iterator[Damage]:
    """Where a log is not what was signed; whether it is whole in itself is `read_events`' to say."""
    for head in heads:
        signed = f"which the operator signed at {head.at} as {head.stage}"
        if not 1 <= head.n <= len(lines):
            yield Damage(0, head.n, f"is not in the log, {signed}: truncated")
        elif _hash(lines[head.n - 1]) != head.hash:
            yield Damage(head.n, head.n, f"does not have the hash {head.hash}, {signed}: the log was written anew")


def _hash(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=Record).hash
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
