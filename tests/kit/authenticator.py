"""A person's authenticator app."""

from datetime import datetime

from pyotp.totp import TOTP

from recoup.kit.config import Secret


def totp_code(secret: Secret, at: datetime) -> str:
    """The code it shows at a moment."""
    return TOTP(secret.reveal()).at(int(at.timestamp()))
