"""The log a bench runs on: Valkey Streams, which the house brings along, or a Kafka broker started for it.

The broker is alone and runs as Kafka ships it, with half a GB of heap: a record is acknowledged when
it is in the page cache of this one machine. Valkey Streams acknowledge after fsync.
"""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.lib.broker import Broker, ToolsMissing, kafka_classpath
from bench.lib.house import House, house

LOGS = ("valkey", "kafka")
_JAVA = ("java", "-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Xshare:auto")
_AS_SHIPPED = {"num.network.threads": 3, "num.io.threads": 8, "log.cleaner.dedupe.buffer.size": 128 << 20}


@contextmanager
def house_on(log: str, **environ: str) -> Generator[House]:
    """A house on this log; the broker counts among its parts."""
    if log == "valkey":
        with house(None, **environ) as running:
            yield running
        return
    with _broker() as broker, house(None, RECOUP_LOG_URL=f"kafka://{broker.address}", **environ) as running:
        assert broker.process is not None
        running.beside["kafka"] = broker.process.pid
        running.log_url = f"kafka://{broker.address}"
        yield running


@contextmanager
def _broker() -> Generator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    try:
        broker = Broker(folder / "kafka", kafka_classpath(), options=_AS_SHIPPED, java=_JAVA)
    except ToolsMissing as missing:
        raise SystemExit(str(missing)) from missing
    broker.format()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)
