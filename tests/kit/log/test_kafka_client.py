"""Calls that never come back hold nobody up: the clients' library has some."""

import asyncio
import subprocess
import sys
from threading import Event

import pytest

from recoup.kit.log.kafka_client import parse, within
from recoup.kit.log.kafka_inquiry import Inquiry

STUCK = """
import asyncio, threading
from recoup.kit.log import kafka_client

kafka_client.LAST_CALL_SECONDS = 0.1

async def main():
    thread = kafka_client.OneThread("stuck")
    stuck = asyncio.create_task(thread.do(threading.Event().wait))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(thread.end(lambda: None))
    await asyncio.sleep(0)
    CANCEL
    try:
        await leaving
    except (TimeoutError, asyncio.CancelledError) as error:
        print(type(error).__name__)
    stuck.cancel()

asyncio.run(main())
"""


def test_a_call_that_does_not_come_back_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        within(0.05, Event().wait)


def test_what_a_call_raises_in_time_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(30, lambda: 1 // 0)


@pytest.mark.parametrize(("cancel", "raised"), [("pass", "TimeoutError"), ("leaving.cancel()", "CancelledError")])
def test_a_process_ends_though_a_call_of_its_never_does(cancel: str, raised: str) -> None:
    program = STUCK.replace("CANCEL", cancel)

    done = subprocess.run((sys.executable, "-c", program), check=False, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, raised, "")


async def test_who_still_asks_while_inquiries_are_closed_is_closed_as_well() -> None:
    inquiry = Inquiry(parse("127.0.0.1:1"))
    await inquiry._of("early").ask(repr)
    closing = asyncio.create_task(inquiry.close())
    await asyncio.sleep(0)

    await inquiry._of("late").ask(repr)
    await closing

    assert not inquiry._askers
