"""Tokens: what is taken, what is refused, and the vectors that everybody who speaks PASETO is held to."""

import base64
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyseto
import pytest
from pyseto import Key

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Unauthenticated
from recoup.kit.tokens import Signer, Verifier, opened, public_key

VECTORS = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/paseto_test_vectors"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)


class Body(msgspec.Struct, frozen=True):
    name: str


@dataclass
class ManualClock:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at


def vectors(file: str) -> list[Any]:
    path = VECTORS / file
    if not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="the official vectors are not at hand"))]
    tests = json.loads(path.read_text())["tests"]
    return [pytest.param(test, id=test["name"]) for test in tests]


def seed_of(vector: dict[str, Any]) -> Secret:
    return Secret(base64.urlsafe_b64encode(bytes.fromhex(vector["secret-key-seed"])).decode())


def key_of(vector: dict[str, Any]) -> Any:
    if "key" in vector:
        return Key.new(4, "local", bytes.fromhex(vector["key"]))
    return Key.from_asymmetric_key_params(4, x=bytes.fromhex(vector["public-key"]))


@pytest.mark.parametrize("vector", vectors("v4.json"))
def test_the_official_tokens_open_or_do_not_as_they_should(vector):
    asked = (key_of(vector), vector["token"], vector["implicit-assertion"])
    if vector["expect-fail"]:
        with pytest.raises((pyseto.PysetoError, ValueError)):
            opened(*asked)
    else:
        assert opened(*asked) == vector["payload"].encode()


@pytest.mark.parametrize("vector", vectors("v4.json"))
def test_our_keys_sign_what_the_official_ones_sign(vector):
    if vector["expect-fail"] or "secret-key-seed" not in vector:
        return
    signer = Signer(seed_of(vector), ManualClock(), LIFETIME)
    parts = (vector["payload"], vector["footer"], vector["implicit-assertion"])
    assert pyseto.encode(signer._key, *parts).decode() == vector["token"]


@pytest.mark.parametrize("vector", vectors("v4.json"))
def test_no_official_token_is_one_of_ours(vector):
    seed = seed_of(vector) if "secret-key-seed" in vector else new_secret()
    with pytest.raises(Unauthenticated):
        Verifier(seed, Body, ManualClock()).verify(vector["token"])


@pytest.mark.parametrize("file", ["PASERK/k4.pid.json", "PASERK/k4.public.json"])
def test_keys_are_named_and_published_as_paserk_says(file):
    for test in (param.values[0] for param in vectors(file)):
        if test is None:
            pytest.skip("the official vectors are not at hand")
        if test["expect-fail"]:
            continue  # keys of other versions and purposes, which we have no way to name
        key = Key.from_asymmetric_key_params(4, x=bytes.fromhex(test["key"]))
        named = key.to_paserk_id() if file.endswith("k4.pid.json") else key.to_paserk()
        assert named == test["paserk"]


def test_a_token_says_who_signed_it_and_when_it_ends_in_words_of_the_standard():
    seed = new_secret()
    token = Signer(seed, ManualClock(), LIFETIME).sign(Body("ada"))
    said = opened(Key.from_paserk(public_key(seed).paserk), token)
    assert json.loads(said) == {"exp": "2026-03-01T12:15:00Z", "body": {"name": "ada"}}
    footer = token.rpartition(".")[2]
    assert json.loads(base64.urlsafe_b64decode(footer + "=" * (-len(footer) % 4))) == {"kid": public_key(seed).kid}


@pytest.mark.parametrize("again", [False, True], ids=["new", "seen before"])
def test_a_token_ends_when_it_says(again):
    seed, clock = new_secret(), ManualClock()
    token = Signer(seed, clock, LIFETIME).sign(Body("ada"))
    verifier = Verifier(seed, Body, clock)
    if again:
        assert verifier.verify(token) == Body("ada")
    clock.at = NOON + LIFETIME
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token)


def test_several_keys_are_good_at_once_and_one_that_is_no_longer_trusted_opens_nothing_seen_or_new():
    old, new, clock = new_secret(), new_secret(), ManualClock()
    tokens = [Signer(seed, clock, LIFETIME).sign(Body("ada")) for seed in (old, new)]
    unseen = Signer(old, clock, LIFETIME / 2).sign(Body("ada"))
    verifier = Verifier(old, Body, clock)
    verifier.trust([old, new])
    assert [verifier.verify(token) for token in tokens] == [Body("ada")] * 2
    verifier.trust([new])
    assert verifier.verify(tokens[1]) == Body("ada")
    for token in (tokens[0], unseen):
        with pytest.raises(Unauthenticated):
            verifier.verify(token)


def test_a_name_of_a_trusted_key_proves_nothing():
    trusted, other, clock = new_secret(), new_secret(), ManualClock()
    forger = Signer(other, clock, LIFETIME)
    forger._footer = msgspec.json.encode({"kid": public_key(trusted).kid})
    verifier = Verifier(trusted, Body, clock)
    with pytest.raises(Unauthenticated):
        verifier.verify(forger.sign(Body("mallory")))


@pytest.mark.parametrize("damage", ["footerless", "padded", "another body", "blank inside", "long footer", "nothing"])
def test_what_is_not_written_as_we_write_it_is_refused(damage):
    seed, clock = new_secret(), ManualClock()
    token = Signer(seed, clock, LIFETIME).sign(Body("ada"))
    head, purpose, payload, footer = token.split(".")
    damaged = {
        "footerless": pyseto.encode(Signer(seed, clock, LIFETIME)._key, b"{}").decode(),
        "padded": token + "=",
        "another body": f"{head}.{purpose}.{payload[:-3]}AAA.{footer}",
        "blank inside": f"{head}.{purpose}.{payload[:9]} {payload[9:]}.{footer}",
        "long footer": f"{head}.{purpose}.{payload}.{'A' * 4_000}",
        "nothing": "",
    }[damage]
    with pytest.raises(Unauthenticated):
        Verifier(seed, Body, clock).verify(damaged)
