"""Seals what must be read again: AES-256-GCM under a key derived from this installation's own.

What is sealed for one purpose and place opens for no other. Whoever has the database alone has nothing.
"""

import base64
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from recoup.kit.config import Secret
from recoup.kit.errors import Unavailable

_NONCE_BYTES = 12


def derived_secret(installation_key: Secret, purpose: str) -> Secret:
    """A secret of the installation's own for one purpose: the same in every process, and nowhere else."""
    return Secret(_derived(installation_key, purpose).hex())


def _derived(installation_key: Secret, purpose: str) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"recoup/{purpose}".encode())
    return derive.derive(base64.urlsafe_b64decode(installation_key.reveal()))


@dataclass(slots=True)
class Sealer:
    """Seals and opens for one purpose; `place` says where something belongs, and it opens nowhere else."""

    installation_key: Secret
    purpose: str
    _cipher: AESGCM = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cipher = AESGCM(_derived(self.installation_key, self.purpose))

    def seal(self, secret: Secret, place: str) -> bytes:
        return self.seal_bytes(secret.reveal().encode(), place)

    def open(self, sealed: bytes, place: str) -> Secret:
        """The secret again; raises Unavailable where the installation's key is not the one it was sealed with."""
        found = self.open_bytes(sealed, place)
        if found is None:
            raise Unavailable(f"a secret of {place} was sealed with another key: set it again")
        return Secret(found.decode())

    def seal_bytes(self, content: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, place.encode())

    def open_bytes(self, sealed: bytes, place: str) -> bytes | None:
        """The content again; None where the installation's key is not the one it was sealed with."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            return None
