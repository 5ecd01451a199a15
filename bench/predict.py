"""Predictions: one at a time over HTTP, and many at once, beside LightGBM's own predict in the same run.

The service's real door (Litestar on Granian, identity checked) stands in a process of its own with a trained model and
no engines; features come with the request. The load generator shares the machine.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import lightgbm
import msgspec
import numpy as np

from recoup.kit.clock import SystemClock
from recoup.kit.config import new_secret
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.ports import free_port
from recoup.kit.tokens import Signer
from recoup.messages.access import GRANTS, Principal, Role
from recoup.services.ai.features.domain.definitions import NAMES
from recoup.services.ai.models.trained import load
from recoup.services.ai.training.domain.dataset import Dataset
from recoup.services.ai.training.fit import Plan, fit

ROWS = 6_000
RATE = 300
SERVER = str(Path(__file__).parent / "lib" / "predictor.py")
SECONDS = 5


def carts(count: int) -> Dataset:
    """Made-up carts with an outcome that some features know something of; a fifth of the values is missing."""
    chance = np.random.default_rng(3)
    values = chance.poisson(3, (count, len(NAMES))).astype(np.float32)
    bought = chance.random(count) < 1 / (1 + np.exp(3 - values[:, 6] * 0.4 - values[:, 13] * 0.3))
    values[chance.random(values.shape) < 0.2] = np.nan
    return Dataset(NAMES, values, bought, np.arange(count))


async def single(url: str, headers: dict[str, str], bodies: list[bytes]) -> list[float]:
    """Seconds of each request at a steady rate, counted from when it was due."""
    async with aiohttp.ClientSession(headers=headers) as session:
        start = time.perf_counter() + 0.1
        return await asyncio.gather(*(_ask(session, url, body, start + n / RATE) for n, body in enumerate(bodies)))


async def _ask(session: aiohttp.ClientSession, url: str, body: bytes, due: float) -> float:
    await asyncio.sleep(due - time.perf_counter())
    async with session.post(url, data=body) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    return time.perf_counter() - due


async def batches(url: str, headers: dict[str, str], body: bytes, rows: int) -> float:
    """Rows a second over HTTP, one request after another."""
    async with aiohttp.ClientSession(headers=headers) as session:
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < 2:
            async with session.post(url, data=body) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            done += rows
        return done / (time.perf_counter() - started)


def rate(work: Callable[[], int], seconds: float = 1.0) -> float:
    """Rows a second of some work that says how many it did."""
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        done += work()
    return done / (time.perf_counter() - started)


async def until(ready: Callable[[], Awaitable[object]]) -> None:
    for _ in range(1200):
        try:
            await ready()
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
        else:
            return


async def over_http(model: bytes, data: Dataset) -> None:
    seed = new_secret()
    owner = Principal(subject="bench", kind="person", stores={"s1": sorted(GRANTS[Role.OWNER])})
    headers = {IDENTITY_HEADER: Signer(seed, SystemClock(), timedelta(minutes=5)).sign(owner)}
    headers["Content-Type"] = "application/json"
    port = free_port()
    with tempfile.NamedTemporaryFile() as file:
        file.write(model)
        file.flush()
        process = subprocess.Popen([sys.executable, SERVER, file.name, seed.reveal(), str(port)])
        try:
            await _asked(f"http://127.0.0.1:{port}/predict", headers, data)
        finally:
            process.kill()


async def _asked(url: str, headers: dict[str, str], data: Dataset) -> None:
    rows = [
        {name: None if np.isnan(value) else 1.0 for name, value in zip(NAMES, row, strict=True)}
        for row in data.values[:1000]
    ]
    async with aiohttp.ClientSession(headers=headers) as session:
        await until(lambda: session.post(url, data=msgspec.json.encode({"features": rows[0]})))
    bodies = [msgspec.json.encode({"features": rows[n % len(rows)]}) for n in range(RATE * SECONDS)]
    took = np.sort(await single(url, headers, bodies)) * 1000
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    print(f"one over HTTP with reasons, {RATE}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    many = await batches(f"{url}/batch", headers, msgspec.json.encode({"rows": rows}), len(rows))
    print(f"batches of 1,000 over HTTP (JSON): {many:,.0f} rows/s")


def main() -> None:
    data = carts(ROWS)
    fitted = fit(data, np.full(ROWS, 0.5), Plan(budget_seconds=0))
    parameters = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "learning_rate": 0.03}
    booster = lightgbm.train(
        parameters, lightgbm.Dataset(data.values, data.bought), num_boost_round=fitted.report.trees
    )
    model = load("bench", fitted.onnx)
    one, many = data.values[:1].copy(), data.values[:1000].copy()
    wide = many.astype(np.float64)
    ours_one = rate(lambda: len(model.probabilities_of(one)))
    theirs_one = rate(lambda: len(booster.predict(wide[:1], num_threads=1)))  # pyright: ignore[reportArgumentType]
    ours_many = rate(lambda: len(model.probabilities_of(many)))
    theirs_many = rate(lambda: len(booster.predict(wide, num_threads=1)))  # pyright: ignore[reportArgumentType]
    vectors = [dict(zip(NAMES, [None if np.isnan(v) else float(v) for v in row], strict=True)) for row in many[:50]]
    explained = rate(lambda: len(model.explain(vectors)))
    exact = rate(lambda: len(booster.predict(wide[:50], pred_contrib=True, num_threads=1)))  # pyright: ignore[reportArgumentType]
    print(f"{fitted.report.trees} trees, {len(NAMES)} features, one thread")
    print(f"row by row:  {ours_one:>9,.0f} rows/s, {ours_one / theirs_one:.1f} x LightGBM ({theirs_one:,.0f})")
    print(f"by 1,000:    {ours_many:>9,.0f} rows/s, {ours_many / theirs_many:.1f} x LightGBM ({theirs_many:,.0f})")
    print(f"with reasons:{explained:>9,.0f} rows/s, {explained / exact:.1f} x LightGBM's TreeSHAP ({exact:,.0f})")
    asyncio.run(over_http(fitted.onnx, data))


if __name__ == "__main__":
    main()
