"""What waits on the log is a gauge, whichever engine the log has."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log, Outgoing
from recoup.messages.topics import EVENTS_RAW
from recoup.services.monitoring.lag.jobs import LAG, Measure


@pytest.fixture(params=["valkey", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log(request: pytest.FixtureRequest, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(request.getfixturevalue(f"{request.param}_url"), 2, valkey_url)
    yield log
    await log.close()


async def test_what_a_group_has_not_dealt_with_is_a_gauge_by_partition(log: Log) -> None:
    await log.register("pipeline", [EVENTS_RAW.name])
    await log.seek("pipeline", EVENTS_RAW.name, "end")
    await log.append(EVENTS_RAW.name, [Outgoing(1, b"one"), Outgoing(1, b"two")])

    await Measure(log, timedelta(seconds=1)).measure()

    waiting = [LAG.labels("pipeline", EVENTS_RAW.name, partition)._value.get() for partition in (0, 1)]
    assert waiting == [0, 2]
