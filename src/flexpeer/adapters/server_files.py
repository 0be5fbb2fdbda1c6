"""What servers ask for before they let anybody in: passwords of programs, and certificates between servers.

`NAME.password` is that of a program or agent at its DSO's own server. `authority.pem` certifies the market operator's
hub. `authority.key` beside it, which only the market operator has, issues a certificate each time the hub starts,
unless there are `hub.pem` and `hub.key`, of the organisations' own authority.
"""

import ipaddress
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.folders import write_private
from flexpeer.errors import bad_input

AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority.key"
HUB, HUB_KEY = "hub.pem", "hub.key"
AUTHORITY_DAYS, HUB_DAYS = 3650, 90
MADE_BY_SPLIT = "as flexpeer split writes, or of the organisations' own authority"


@dataclass(frozen=True)
class ServerCredentials:
    """An organisation's keys, its folder of passwords and certificates, and its agents' passwords by name."""

    signatures: Ed25519Signatures
    folder: Path
    agents: Mapping[str, str] = field(default_factory=dict)

    def password(self, name: str) -> str:
        """Of its own programs; without a file nobody but the program that asks knows it."""
        return read_password(name, self.folder) or secrets.token_urlsafe(32)

    def authority(self) -> Path:
        """The certificate of whoever certifies the hub; `BadInput` if there is none."""
        path = self.folder / AUTHORITY
        _pem(path)
        return path.resolve()

    def hub(self, host: str) -> tuple[bytes, bytes]:
        """Certificate and key of the hub at `host`, PEM."""
        own = self.folder / HUB, self.folder / HUB_KEY
        if own[0].exists() or own[1].exists():
            return _pem(own[0]), _pem(own[1])
        return _issued(_pem(self.folder / AUTHORITY), _pem(self.folder / AUTHORITY_KEY), host)


def write_passwords(names: Iterable[str], folder: Path) -> None:
    """New ones, readable by their owner only."""
    for name in names:
        write_private(folder / f"{name}.password", f"{secrets.token_urlsafe(32)}\n".encode())


def read_password(name: str, folder: Path) -> str | None:
    """None if there is no file."""
    path = folder / f"{name}.password"
    try:
        found = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise bad_input(str(path), f"cannot be read: {error}", "a password") from error
    if not found or not all(c.isalnum() or c in "-_" for c in found):
        raise bad_input(str(path), "is no password", "letters, digits, - and _")
    return found


def write_authority(folder: Path) -> None:
    """A new authority; its key is for the market operator alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flexpeer authority")])
    built = (
        _certificate(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / AUTHORITY, built.public_bytes(Encoding.PEM))
    write_private(folder / AUTHORITY_KEY, _written(key))


def _issued(authority: bytes, authority_key: bytes, host: str) -> tuple[bytes, bytes]:
    """For `host`, and for this machine by its own name where the hub listens at all of its addresses."""
    try:
        issuer, signing = x509.load_pem_x509_certificate(authority), load_pem_private_key(authority_key, None)
    except (ValueError, TypeError) as error:
        raise bad_input(AUTHORITY, f"is no authority: {error}", MADE_BY_SPLIT) from error
    if not isinstance(signing, ec.EllipticCurvePrivateKey):
        raise bad_input(AUTHORITY_KEY, "is another kind of key", MADE_BY_SPLIT)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "flexpeer hub")])
    names = dict.fromkeys((host.strip("[]"), "127.0.0.1", "localhost", socket.gethostname(), socket.getfqdn()))
    built = (
        _certificate(subject, issuer.subject, key, HUB_DAYS)
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names if each.isascii()]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM), _written(key)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _written(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except OSError as error:
        raise bad_input(str(path), f"cannot be read: {error.strerror}", MADE_BY_SPLIT) from error
    if b"-----BEGIN" not in found:
        raise bad_input(str(path), "is not PEM", MADE_BY_SPLIT)
    return found
