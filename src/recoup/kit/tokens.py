"""Signed tokens: PASETO v4.public (Ed25519). Signs and verifies; decides nothing about what a token allows.

A token names the key that signed it by the `kid` in its footer, which is the key's PASERK id, so that several keys can
be in force at once. A verified token is remembered until it expires or its key is no longer trusted, in a bounded
cache: a token seen before costs a look-up instead of an Ed25519 verification.
"""

import base64
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, cast

import msgspec
import pyseto
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyseto import Key
from pyseto.key_interface import KeyInterface

from recoup.kit.clock import Clock, milliseconds
from recoup.kit.config import Secret
from recoup.kit.errors import Unauthenticated

T = TypeVar("T", bound=msgspec.Struct)
CACHE_SIZE = 10_000
LONGEST_FOOTER: Final = 200
_FOOTED: Final = 4
"""Parts of a token that has a footer."""


class _Envelope(msgspec.Struct):
    exp: datetime
    body: msgspec.Raw


class _Footer(msgspec.Struct, frozen=True):
    kid: str


class PublicKey(msgspec.Struct, frozen=True):
    """What others need to verify tokens by: the key and its id, as PASERK writes them."""

    kid: str
    paserk: str


def public_key(seed: Secret) -> PublicKey:
    """The public half of the pair that grows from a seed."""
    key = _verifying_key(seed)
    return PublicKey(kid=key.to_paserk_id(), paserk=key.to_paserk())


def _private_key(seed: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed.reveal()))


def _verifying_key(seed: Secret) -> KeyInterface:
    pem = _private_key(seed).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Key.new(4, "public", pem)


@dataclass(slots=True)
class Signer:
    """Makes tokens that live for `lifetime`."""

    seed: Secret
    clock: Clock
    lifetime: timedelta
    _key: KeyInterface = field(init=False)
    _footer: bytes = field(init=False)

    def __post_init__(self) -> None:
        pem = _private_key(self.seed).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._key = Key.new(4, "public", pem)
        self._footer = msgspec.json.encode(_Footer(public_key(self.seed).kid))

    def sign(self, body: msgspec.Struct) -> str:
        expires = self.clock.now() + self.lifetime
        payload = msgspec.json.encode(_Envelope(exp=expires, body=msgspec.Raw(msgspec.json.encode(body))))
        return pyseto.encode(self._key, payload, self._footer).decode()


class _Seen(msgspec.Struct, Generic[T], frozen=True, gc=False):
    expires: int
    kid: str
    body: T


@dataclass(slots=True)
class Verifier(Generic[T]):
    """Checks tokens and returns their body as `kind`; raises Unauthenticated for forged or expired ones."""

    seed: Secret
    kind: type[T]
    clock: Clock
    _keys: dict[str, KeyInterface] = field(init=False, default_factory=dict)
    _seen: OrderedDict[str, _Seen[T]] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.trust([self.seed])

    def trust(self, seeds: Iterable[Secret]) -> None:
        """From now on these keys alone count, also for tokens that were verified before."""
        keys = [_verifying_key(seed) for seed in seeds]
        self._keys = {key.to_paserk_id(): key for key in keys}
        for token in [token for token, seen in self._seen.items() if seen.kid not in self._keys]:
            del self._seen[token]

    def verify(self, token: str) -> T:
        seen = self._seen.get(token) or self._open(token)
        if seen.expires <= milliseconds(self.clock.now()):
            self._seen.pop(token, None)
            raise Unauthenticated("the token has expired", code="token_expired")
        return seen.body

    def _open(self, token: str) -> _Seen[T]:
        try:
            kid = key_id(token)
            envelope = msgspec.json.decode(opened(self._keys[kid], token), type=_Envelope)
            body = msgspec.json.decode(envelope.body, type=self.kind)
        except (pyseto.PysetoError, KeyError, ValueError, msgspec.MsgspecError) as error:
            raise Unauthenticated("the token is not one of ours", code="token_invalid") from error
        seen = self._seen[token] = _Seen(milliseconds(envelope.exp), kid, body)
        if len(self._seen) > CACHE_SIZE:
            self._seen.popitem(last=False)
        return seen


def opened(key: KeyInterface, token: str, implicit: str = "") -> bytes:
    """What a token holds; raises ValueError or PysetoError where it is not signed with this key.

    The library reads over padding, foreign signs and bits that mean nothing: one token could be written in many ways.
    """
    for part in token.split(".")[2:]:
        if base64.urlsafe_b64encode(_bytes(part)).rstrip(b"=") != part.encode():
            raise ValueError("not base64url as it is written in tokens")
    return cast("bytes", pyseto.decode(key, token, implicit).payload)


def key_id(token: str) -> str:
    """Which key a token says it was signed with; proves nothing. Raises ValueError where it says none."""
    parts = token.split(".")
    if len(parts) != _FOOTED or len(parts[-1]) > LONGEST_FOOTER:
        raise ValueError("not a token with a footer of ours")
    return msgspec.json.decode(_bytes(parts[-1]), type=_Footer).kid


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
