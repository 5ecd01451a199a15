"""Runs `fit` in a process of its own, in a folder that goes away with it. Knows nothing of stores."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recoup.kit.errors import Unavailable
from recoup.services.ai.training.domain.dataset import Dataset
from recoup.services.ai.training.fit import Fitted, Plan, Report


async def fit_apart(
    data: Dataset,
    champion: npt.NDArray[np.float64],
    plan: Plan,
    tell: Callable[[str], Awaitable[None]],
    *,
    limit: float,
) -> Fitted:
    """What `fit` gives; raises Unavailable when it takes too long or dies."""
    with tempfile.TemporaryDirectory(prefix="recoup-fit-") as name:
        folder = Path(name)
        await asyncio.to_thread(_write, folder, data, champion, plan)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "recoup.services.ai.training.fit", name,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(limit):
                errors = asyncio.create_task(_drained(process.stderr))
                await _heard(process.stdout, tell)
                code = await process.wait()
        except TimeoutError as error:
            raise Unavailable(f"training took longer than {limit:g} s") from error
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if code:
            raise Unavailable(f"training ended with {code}: {(await errors)[-500:]}")
        report = msgspec.json.decode((folder / "report.json").read_bytes(), type=Report)
        return Fitted((folder / "model.onnx").read_bytes(), report)


def _write(folder: Path, data: Dataset, champion: npt.NDArray[np.float64], plan: Plan) -> None:
    columns = {name: pa.array(data.values[:, place]) for place, name in enumerate(data.names)}
    columns |= {"_bought": pa.array(data.bought), "_at": pa.array(data.at), "_champion": pa.array(champion)}
    table = pa.table(columns)
    with pa.ipc.new_file(str(folder / "data.arrow"), table.schema) as writer:
        writer.write_table(table)
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan))


async def _heard(stream: asyncio.StreamReader | None, tell: Callable[[str], Awaitable[None]]) -> None:
    while stream is not None and (line := await stream.readline()):
        await tell(line.decode(errors="replace").strip())


async def _drained(stream: asyncio.StreamReader | None) -> str:
    return (await stream.read()).decode(errors="replace") if stream is not None else ""
