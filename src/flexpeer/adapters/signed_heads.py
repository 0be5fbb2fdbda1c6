"""Signing a log's head with the operator's key, and reading heads that somebody kept."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from flexpeer.adapters.ed25519 import Ed25519Signatures, signed_by
from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.errors import bad_input
from flexpeer.wire.heads import SignedHead, head_text

EXPECTED = "signed heads as GET /api/Heads gives them: one, or a list under items"


class _HeadList(msgspec.Struct):
    items: tuple[SignedHead, ...]


_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def sign_head(market_id: str, stage: str, last: tuple[int, str], at: int, operator: Ed25519Signatures) -> SignedHead:
    """The head of a log whose last record has this number and hash, signed at an instant in minutes."""
    instant = datetime.fromtimestamp(at * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = operator.sign(head_text(market_id, stage, *last, instant))
    return SignedHead(market_id, stage, *last, instant, operator.public_key.hex(), signature.hex())


def read_heads(path: Path) -> tuple[SignedHead, ...]:
    """The heads of a file; `BadInput` if they are none, or not signed with the keys they name."""
    with reading(str(path), EXPECTED):
        content = bytes_of(path)
        if "items" in _DECODER.decode(content):
            heads = msgspec.json.decode(content, type=_HeadList).items
        else:
            heads = (msgspec.json.decode(content, type=SignedHead),)
        broken = [head for head in heads if not _is_signed(head)]
    if broken or not heads:
        told = f"the head of record {broken[0].n} is not signed with its key" if broken else "there is no head"
        raise bad_input(str(path), told, EXPECTED)
    return heads


def _is_signed(head: SignedHead) -> bool:
    return signed_by(bytes.fromhex(head.public_key), head.text, bytes.fromhex(head.signature))
