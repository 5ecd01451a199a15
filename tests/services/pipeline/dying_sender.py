"""A process that is killed the moment a letter's event is on the log and nobody has written that down yet.

Arguments: Valkey's URL, PostgreSQL's, the letter's id, the edited event.
"""

import asyncio
import os
import signal
import sys
from uuid import UUID

from tests.services.pipeline.workbench import bench

from recoup.services.pipeline.deadletters.store import Store


async def main(valkey_url: str, database: str, letter: str, body: str) -> None:
    async def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async with bench(valkey_url, database, keep=True) as desk:
        Store.finish = die  # pyright: ignore[reportAttributeAccessIssue] - the last act is to die
        await desk.workbench.send(await desk.again(UUID(letter)), body.encode(), "ada")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
