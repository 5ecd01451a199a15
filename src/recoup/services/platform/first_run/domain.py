"""What a new installation begins with."""

from msgspec import Struct


class FirstRun(Struct, frozen=True, kw_only=True):
    """Everything needed to come in, told once in `first-run.json`."""

    url: str
    admin_email: str
    admin_password: str
    store_id: str
    secret_key: str
    publishable_key: str
