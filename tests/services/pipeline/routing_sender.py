"""A sender in a process of its own, for a test to kill; told the two engines and the installation's key."""

import asyncio
import sys

from tests.services.pipeline.builders import NOON

from recoup.kit.clock import ManualClock
from recoup.kit.config import Secret
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.outgoing import Outgoing
from recoup.kit.postgres import Postgres
from recoup.kit.sealing import Sealer
from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.jobs import News, Sender
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore
from recoup.services.pipeline.routing.store.rules import RuleStore
from recoup.services.pipeline.settings import Settings


async def send(database: str, valkey_url: str, key: str) -> None:
    settings, db, clock = Settings(routing_private_addresses=True), Postgres(database, "pipeline"), ManualClock(NOON)
    sealer = Sealer(Secret(key), "routing secrets")
    desk = Desk(RuleStore(db, 1), sealer, ValkeyLog(valkey_url, 4), clock, settings)
    await Sender(DeliveryStore(db), desk, Outgoing(60, 100, private=True), clock, settings, News()).run()


if __name__ == "__main__":
    asyncio.run(send(*sys.argv[1:]))
