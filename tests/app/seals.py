"""Signatures, desks and nonces for tests, and letters that arrive at once."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.letters import Desk

DIGEST = hashlib.sha256(b"a day of tests").digest()
_drawn = count()


class Seals:
    """Signatures by a secret per name, which everybody here knows."""

    def __init__(self, name: str) -> None:
        self._name = name

    def sign(self, text: bytes) -> bytes:
        return hmac.digest(self._name.encode(), text, hashlib.sha256)

    def holds(self, sender: str, text: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(sender.encode(), text, hashlib.sha256), signature)


def nonce() -> bytes:
    """Another one each time."""
    return b"nonce %d" % next(_drawn)


def desk_of(name: str, digest: bytes = DIGEST) -> Desk:
    return Desk(name, Seals(name), digest, nonce)


def asked(asking: OpenQuestions, name: str, question: Any, carried: Callable[[str, bytes], bytes | None]) -> Any | None:
    """The reply to one question; None as soon as a letter brings nothing."""
    asking.begin([(name, question)], 0.0)
    while asking.next_s is not None:
        for to, written in asking.due(0.0):
            reply = carried(to, written)
            if reply is None:
                return None
            asking.received(reply, 0.0)
    replies: Sequence[Any | None] = asking.replies
    return replies[0]
