"""What it costs to learn who asks: our tokens, seen before and new, beside JWTs and a session kept in Valkey.

    python -m bench tokens                 2,000 tokens a way, the best of five rounds
    python -m bench tokens --count 200     a quick look

Promises: a token seen before under 10 µs; a new one costs one Ed25519 verification and nothing else. Baseline: a
session look-up, one GET of the session's id over a local socket and its JSON read, one at a time, as a request would
make it. Its time is that of the wall clock, since the request waits; the processor's time is this process' only, and
Valkey's comes on top. Every way ends with the same claims in the same type, and refuses what has expired.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import jwt
import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recoup.kit import valkey
from recoup.kit.clock import SystemClock
from recoup.kit.config import new_secret
from recoup.kit.embedded import Valkey
from recoup.kit.errors import Unavailable
from recoup.kit.ids import new_id
from recoup.kit.launch import wrap
from recoup.kit.tokens import Signer, Verifier

ROUNDS: Final = 5
LIFETIME: Final = timedelta(minutes=15)
BASELINE: Final = "session in Valkey, one GET and its JSON"


class Claims(msgspec.Struct, frozen=True):
    """What an access token says."""

    user_id: str
    session_id: str
    roles: dict[str, str]


class Stored(msgspec.Struct):
    """A session as a store would keep it, or a JWT's payload."""

    exp: int
    claims: Claims


class Cost(NamedTuple):
    """Of one check, in µs."""

    wall: float
    processor: float


def claims() -> Claims:
    """Of somebody with two shops."""
    return Claims(str(new_id()), str(new_id()), {str(new_id()): "owner", str(new_id()): "analyst"})


def payload(of: Claims) -> dict[str, object]:
    """What PyJWT signs."""
    return {"exp": int(time.time()) + 900, "claims": msgspec.to_builtins(of)}


def timed(rounds: int, check: Callable[[], None], count: int) -> Cost:
    """The best of some rounds."""
    costs: list[Cost] = []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        check()
        costs.append(Cost(1e6 * (time.perf_counter() - wall) / count, 1e6 * (time.process_time() - processor) / count))
    return best(costs)


def best(costs: Sequence[Cost]) -> Cost:
    """The least of each kind of time: what else runs on the machine only adds to them."""
    return Cost(min(cost.wall for cost in costs), min(cost.processor for cost in costs))


def ours(people: Sequence[Claims]) -> dict[str, Cost]:
    """PASETO v4.public as the gateway checks it, and the bare signature inside."""
    clock, seed = SystemClock(), new_secret()
    signer = Signer(seed, clock, LIFETIME)
    tokens = [signer.sign(one) for one in people]
    verifier = Verifier(seed, Claims, clock)

    def check(verifier: Verifier[Claims]) -> None:
        for token in tokens:
            verifier.verify(token)

    def check_new() -> None:
        check(Verifier(seed, Claims, clock))

    check(verifier)
    key = Ed25519PrivateKey.generate()
    message = msgspec.json.encode(people[0])
    public, signature = key.public_key(), key.sign(message)

    def bare() -> None:
        for _ in people:
            public.verify(signature, message)

    return {
        "PASETO v4.public, seen before": timed(ROUNDS, partial(check, verifier), len(people)),
        "PASETO v4.public, new": timed(ROUNDS, check_new, len(people)),
        "Ed25519 alone, the library's own check": timed(ROUNDS, bare, len(people)),
    }


def jwts(people: Sequence[Claims]) -> dict[str, Cost]:
    """PyJWT's, always new: it remembers nothing."""
    secret = new_secret().reveal()
    pair = Ed25519PrivateKey.generate()

    def check(tokens: Sequence[str], key: str | Ed25519PublicKey, algorithm: str) -> None:
        for token in tokens:
            msgspec.convert(jwt.decode(token, key, algorithms=[algorithm]), Stored)

    costs: dict[str, Cost] = {}
    for algorithm, signing, verifying in (("HS256", secret, secret), ("EdDSA", pair, pair.public_key())):
        tokens = [jwt.encode(payload(one), signing, algorithm=algorithm) for one in people]
        costs[f"JWT {algorithm}, new"] = timed(ROUNDS, partial(check, tokens, verifying, algorithm), len(people))
    return costs


async def sessions(people: Sequence[Claims], url: str) -> dict[str, Cost]:
    """A store's answer for each request."""
    store = valkey.connect(url)
    await _until(store.ping)
    expires = int(time.time()) + 900
    names = [f"session:{one.session_id}" for one in people]
    for name, one in zip(names, people, strict=True):
        await store.set(name, msgspec.json.encode(Stored(expires, one)))
    costs: list[Cost] = []
    decoder = msgspec.json.Decoder(Stored)
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        for name in names:
            session = decoder.decode(await store.get(name) or b"")
            if session.exp < time.time():
                raise SystemExit("expired while measured")
        costs.append(
            Cost(1e6 * (time.perf_counter() - wall) / len(names), 1e6 * (time.process_time() - processor) / len(names))
        )
    await store.aclose()
    return {BASELINE: best(costs)}


async def _until(ping: Callable[[], Awaitable[object]]) -> None:
    """Until Valkey answers."""
    for _ in range(200):
        try:
            with valkey.translated():
                await ping()
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise SystemExit("Valkey did not come up")


def stored(people: Sequence[Claims]) -> dict[str, Cost]:
    """The same with a Valkey of its own, in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    engine = Valkey(folder)
    asyncio.run(engine.prepare())
    process = subprocess.Popen(
        wrap(engine.command, orphan_signal=signal.SIGKILL, account=engine.account), stdout=subprocess.DEVNULL
    )
    try:
        return uvloop.run(sessions(people, engine.url))
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Prints one line a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2_000)
    people = [claims() for _ in range(parser.parse_args().count)]
    costs = {**stored(people), **ours(people), **jwts(people)}
    print(f"{'check':<42} {'µs':>8} {'processor µs':>13} {'of the session look-up':>23}")
    for name, cost in costs.items():
        print(f"{name:<42} {cost.wall:8.1f} {cost.processor:13.1f} {cost.wall / costs[BASELINE].wall:23.3f}")
    new, bare = costs["PASETO v4.public, new"], costs["Ed25519 alone, the library's own check"]
    print(f"seen before: promise < 10 µs; a new one: {new.processor / bare.processor:.2f} times the bare verification")


if __name__ == "__main__":
    main()
