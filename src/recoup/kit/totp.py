"""Codes of authenticator apps: TOTP (RFC 6238), six digits, half a minute each. Remembers nothing that was used."""

from datetime import datetime
from hmac import compare_digest
from typing import Final

from pyotp import random_base32
from pyotp.totp import TOTP

from recoup.kit.config import Secret

INTERVAL: Final = 30
"""Seconds that a code lasts."""
DRIFT: Final = 1
"""Steps that a device's clock may be ahead or behind."""


def new_totp_secret() -> Secret:
    """160 random bits in base32, as an app takes them."""
    return Secret(random_base32())


def totp_uri(secret: Secret, account: str, issuer: str) -> str:
    """The address that an app reads, typed or as a QR code."""
    return TOTP(secret.reveal()).provisioning_uri(name=account, issuer_name=issuer)


def totp_step(secret: Secret, code: str, at: datetime) -> int | None:
    """The time step a code belongs to, if it is one of now or right beside; later codes have higher steps."""
    totp = TOTP(secret.reveal())
    now = int(at.timestamp()) // INTERVAL
    # Every step is looked at, so that the time it takes does not say which one was near.
    steps = range(now - DRIFT, now + DRIFT + 1)
    found = [step for step in steps if compare_digest(totp.at(step * INTERVAL).encode(), code.encode())]
    return max(found, default=None)
