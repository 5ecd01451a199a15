"""Looking at processes and machine: for a request, and again and again for the gauges."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import psutil

from recoup.kit.clock import Clock
from recoup.kit.errors import Unavailable
from recoup.kit.http import Health
from recoup.kit.metrics import Gauge
from recoup.kit.peers import Peers
from recoup.kit.supervisor import read_statuses
from recoup.services.monitoring.status.domain import (
    Answer,
    Child,
    Infrastructure,
    Level,
    Machine,
    ProcessUse,
    ServiceStatus,
    judge,
)
from recoup.services.monitoring.status.store import Store

CPU = Gauge("cpu_usage_percent", "Processor use; of one core for a process, of all for `machine`", ["process"])
MEMORY = Gauge("memory_usage_bytes", "Resident memory of a process; memory in use for `machine`", ["process"])
DISK = Gauge("disk_usage_percent", "Use of the disk that holds the data folder")
NETWORK = Gauge("network_io_bytes", "Bytes over the machine's network since it started", ["direction"])
CONNECTIONS = Gauge("database_connections", "Connections to PostgreSQL", ["application"])
UP = Gauge("service_ready", "1 while the service is ready, else 0", ["process"])


@dataclass(slots=True)
class Look:
    """Asks everyone. `folder` is where a supervisor of ours keeps its status file; `uses` tells what services use."""

    peers: Peers
    store: Store
    clock: Clock
    folder: Path
    uses: Callable[[], list[ProcessUse]]
    patience: timedelta
    _known: dict[int, psutil.Process] = field(default_factory=dict)

    async def services(self) -> list[ServiceStatus]:
        """Every process, in the order of the data's way; engines last."""
        children = self._children()
        names = list(self.peers.addresses)
        answers = await asyncio.gather(*(self._ask(name) for name in names))
        asked = [
            judge(name, answer, children.get(name), asked=True) for name, answer in zip(names, answers, strict=True)
        ]
        engines = [judge(name, None, child, asked=False) for name, child in children.items() if name not in names]
        for status in (*asked, *engines):
            UP.labels(status.service).set(status.status is Level.READY)
        return [*asked, *engines]

    async def infrastructure(self) -> Infrastructure:
        """Machine, processes and connections."""
        engines = [
            self._measured(name, child.pid)
            for name, child in self._children().items()
            if child.pid is not None and name not in self.peers.addresses
        ]
        seen = Infrastructure(
            at=self.clock.now(),
            machine=self._machine(),
            processes=[*self.uses(), *engines],
            database_connections=await self.store.connections(),
        )
        _export(seen)
        return seen

    async def everything(self) -> None:
        """Refreshes the gauges."""
        await self.services()
        await self.infrastructure()

    async def _ask(self, name: str) -> Answer | None:
        try:
            found = await self.peers.probe(name, "/health/ready", patience=self.patience)
            health = msgspec.json.decode(found.body, type=Health)
        except (Unavailable, msgspec.MsgspecError):
            return None
        return Answer(found.status, health.checks, found.seconds * 1000)

    def _children(self) -> Mapping[str, Child]:
        try:
            statuses = read_statuses(self.folder)
        except (OSError, msgspec.MsgspecError):  # none in a cluster
            return {}
        return {
            status.name: Child(status.state.value, status.pid, status.restarts, status.since, status.detail)
            for status in statuses
        }

    def _machine(self) -> Machine:
        memory = psutil.virtual_memory()
        traffic = psutil.net_io_counters()
        return Machine(
            cpu_usage_percent=psutil.cpu_percent(interval=None),
            memory_usage_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            disk_usage_percent=psutil.disk_usage(str(self.folder if self.folder.exists() else "/")).percent,
            network_io_bytes={"sent": traffic.bytes_sent, "received": traffic.bytes_recv},
        )

    def _measured(self, name: str, pid: int) -> ProcessUse:
        """An engine and its children; what these share with it counts once."""
        try:
            parent = self._process(pid)
            children = [self._process(child.pid) for child in parent.children(recursive=True)]
            cpu = sum(process.cpu_percent(interval=None) for process in (parent, *children))
            own = [process.memory_info() for process in children]
            memory = parent.memory_info().rss + sum(max(0, use.rss - use.shared) for use in own)
        except psutil.Error:  # it ended meanwhile, or is not ours to look at
            self._known.clear()
            return ProcessUse(service=name, cpu_usage_percent=None, memory_usage_bytes=None)
        return ProcessUse(service=name, cpu_usage_percent=round(cpu, 1), memory_usage_bytes=memory)

    def _process(self, pid: int) -> psutil.Process:
        # Kept between looks: the processor use is that since the last one.
        known = self._known.get(pid)
        if known is None or not known.is_running():
            self._known[pid] = known = psutil.Process(pid)
        return known


def _export(seen: Infrastructure) -> None:
    CPU.labels("machine").set(seen.machine.cpu_usage_percent)
    MEMORY.labels("machine").set(seen.machine.memory_usage_bytes)
    DISK.set(seen.machine.disk_usage_percent)
    for direction, count in seen.machine.network_io_bytes.items():
        NETWORK.labels(direction).set(count)
    for use in seen.processes:
        if use.cpu_usage_percent is not None:
            CPU.labels(use.service).set(use.cpu_usage_percent)
        if use.memory_usage_bytes is not None:
            MEMORY.labels(use.service).set(use.memory_usage_bytes)
    CONNECTIONS.clear()
    for application, count in seen.database_connections.items():
        CONNECTIONS.labels(application).set(count)
