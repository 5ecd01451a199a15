"""A courier in a process of its own, to be killed from outside while it sends.

Arguments: the database's URL, Valkey's URL, the mail server's URL.
"""

import asyncio
import sys

from tests.services.interventions.world import OPEN, opened

from recoup.kit.config import Secret
from recoup.services.interventions.settings import Settings


async def main(database: str, valkey_url: str, smtp_url: str) -> None:
    async with opened(database, valkey_url, OPEN, Settings(patience_seconds=0, smtp_url=Secret(smtp_url))) as world:
        await world.deliver()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
