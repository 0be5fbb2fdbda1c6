"""Codes that change every half minute: TOTP of RFC 6238, as authenticator programs have it (SHA-1, 30 s, 6 digits)."""

import base64
import hmac
import secrets
import struct
from hashlib import sha1
from urllib.parse import quote, urlencode

STEP_S, DIGITS, SECRET_BYTES = 30, 6, 20
TOLERANCE_STEPS = 1


def new_secret() -> str:
    """A secret in base 32."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_at(secret: str, step: int) -> str:
    """The code of a step, RFC 4226 section 5.3: 31 bits of the HMAC from where its last half byte says."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), sha1).digest()
    start = digest[-1] & 0x0F
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return f"{(number & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}d}"


def code_step(secret: str, code: str, seconds: float) -> int | None:
    """The step whose code it is, now or one step beside; None where it is none."""
    now = int(seconds) // STEP_S
    steps = range(now - TOLERANCE_STEPS, now + TOLERANCE_STEPS + 1)
    right = [step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())]
    return right[-1] if right else None


def address(secret: str, user: str) -> str:
    """What authenticator programs read, often as a picture."""
    return f"otpauth://totp/flexpeer:{quote(user)}?{urlencode({'secret': secret, 'issuer': 'flexpeer'})}"
