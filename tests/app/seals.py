import hashlib
import hmac


class Seals:
    """Signatures by a secret per name, which everybody here knows."""

    def __init__(self, name: str) -> None:
        self._name = name

    def sign(self, text: bytes) -> bytes:
        return hmac.digest(self._name.encode(), text, hashlib.sha256)

    def holds(self, sender: str, text: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(sender.encode(), text, hashlib.sha256), signature)
