"""Ed25519 keys as files: `NAME.key`, an organisation's own (32 bytes in hex), and `public-keys.json`, everybody's.

NATS servers know who connects by the same keys, written as its nkeys: base32 of a prefix, 32 bytes and a CRC-16.
"""

import binascii
import json
from base64 import b32encode
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flexpeer.adapters.folders import write_private
from flexpeer.adapters.reading import bytes_of
from flexpeer.errors import bad_input

PUBLIC_KEYS = "public-keys.json"
NKEY_USER = b"\xa0"
NKEY_USER_SEED = b"\x95\x00"


class Ed25519Signatures:
    """One's own private key, and public keys by organisation."""

    def __init__(self, own: Ed25519PrivateKey, known: Mapping[str, Ed25519PublicKey]) -> None:
        self._own, self._known = own, known

    def sign(self, text: bytes) -> bytes:
        """64 bytes."""
        return self._own.sign(text)

    def holds(self, sender: str, text: bytes, signature: bytes) -> bool:
        """Whether `sender` signed it; False for an unknown sender."""
        return sender in self._known and _holds(self._known[sender], text, signature)

    @property
    def public_key(self) -> bytes:
        """One's own, 32 bytes."""
        return self._own.public_key().public_bytes_raw()

    @property
    def nkey_seed(self) -> str:
        """One's own private key as a NATS user's seed."""
        return _nkey(NKEY_USER_SEED, self._own.private_bytes_raw())

    def nkey(self, name: str) -> str | None:
        """The public key of an organisation as a NATS user's name; None for an unknown one."""
        return _nkey(NKEY_USER, self._known[name].public_bytes_raw()) if name in self._known else None


def signed_by(public_key: bytes, text: bytes, signature: bytes) -> bool:
    """Whether whoever has the key of these 32 bytes signed it; `ValueError` if they are no key."""
    return _holds(Ed25519PublicKey.from_public_bytes(public_key), text, signature)


def _holds(key: Ed25519PublicKey, text: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _nkey(prefix: bytes, key: bytes) -> str:
    checked = prefix + key
    return b32encode(checked + binascii.crc_hqx(checked, 0).to_bytes(2, "little")).decode().rstrip("=")


def write_keys(names: Iterable[str], folder: Path) -> None:
    """New keys, private ones readable by their owner only; to try things out: in earnest everybody makes their own."""
    public: dict[str, str] = {}
    for name in names:
        key = Ed25519PrivateKey.generate()
        public[name] = key.public_key().public_bytes_raw().hex()
        write_private(folder / f"{name}.key", f"{key.private_bytes_raw().hex()}\n".encode())
    (folder / PUBLIC_KEYS).write_text(json.dumps(public, indent=1) + "\n", encoding="utf-8")


def read_keys(name: str, folder: Path) -> Ed25519Signatures:
    """An organisation's own key and all public ones; `BadInput` if a file is not what it should be."""
    path = folder / PUBLIC_KEYS
    try:
        known = {
            who: Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
            for who, key in json.loads(bytes_of(path).decode()).items()
        }
        path = folder / f"{name}.key"
        own = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(bytes_of(path).decode("ascii").strip()))
    except OSError as error:
        raise bad_input(str(path), f"cannot be read: {error.strerror}", "a key file") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise bad_input(str(path), f"holds no keys: {error}", "Ed25519 keys, 32 bytes in hex") from error
    return Ed25519Signatures(own, known)
