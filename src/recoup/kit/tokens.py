"""Signed tokens: PASETO v4.public (Ed25519). Signs and verifies; decides nothing about what a token allows.

A verified token is remembered until it expires, in a bounded cache, so that a token seen before costs a look-up
instead of an Ed25519 verification.
"""

import base64
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec
import pyseto
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyseto import Key

from recoup.kit.clock import Clock, milliseconds
from recoup.kit.config import Secret
from recoup.kit.errors import Unauthenticated

T = TypeVar("T", bound=msgspec.Struct)
CACHE_SIZE = 10_000


class _Envelope(msgspec.Struct):
    exp: int
    body: msgspec.Raw


def _private_key(seed: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed.reveal()))


@dataclass(slots=True)
class Signer:
    """Makes tokens that live for `lifetime`."""

    seed: Secret
    clock: Clock
    lifetime: timedelta
    _key: pyseto.key_interface.KeyInterface = field(init=False)

    def __post_init__(self) -> None:
        pem = _private_key(self.seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = Key.new(4, "public", pem)

    def sign(self, body: msgspec.Struct) -> str:
        expires = milliseconds(self.clock.now() + self.lifetime)
        payload = msgspec.json.encode(_Envelope(exp=expires, body=msgspec.Raw(msgspec.json.encode(body))))
        return pyseto.encode(self._key, payload).decode()


@dataclass(slots=True)
class Verifier(Generic[T]):
    """Checks tokens and returns their body as `kind`; raises Unauthenticated for forged or expired ones."""

    seed: Secret
    kind: type[T]
    clock: Clock
    _key: pyseto.key_interface.KeyInterface = field(init=False)
    _seen: OrderedDict[str, tuple[int, T]] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        pem = _private_key(self.seed).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._key = Key.new(4, "public", pem)

    def verify(self, token: str) -> T:
        now = milliseconds(self.clock.now())
        expires, body = self._seen.get(token) or self._open(token)
        if expires <= now:
            self._seen.pop(token, None)
            raise Unauthenticated("the token has expired", code="token_expired")
        return body

    def _open(self, token: str) -> tuple[int, T]:
        try:
            payload = pyseto.decode(self._key, token).payload
            envelope = msgspec.json.decode(payload if isinstance(payload, bytes) else b"", type=_Envelope)
            entry = (envelope.exp, msgspec.json.decode(envelope.body, type=self.kind))
        except (pyseto.PysetoError, ValueError, msgspec.MsgspecError) as error:
            raise Unauthenticated("the token is not one of ours", code="token_invalid") from error
        self._seen[token] = entry
        if len(self._seen) > CACHE_SIZE:
            self._seen.popitem(last=False)
        return entry
