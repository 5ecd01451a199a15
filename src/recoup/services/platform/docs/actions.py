"""Gathers the documents of all services, for a minute at a time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from recoup import __version__
from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure
from recoup.kit.peers import Peers
from recoup.services.platform.docs.domain import documents
from recoup.services.platform.docs.domain.documents import Document

FRESH_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 5.0
NO_DOORS: Final = frozenset({"processor"})
"""Processes that serve nobody outside."""


@dataclass(slots=True)
class Library:
    """The merged document, and who did not answer when it was made."""

    peers: Peers
    _made_at: float = float("-inf")
    _document: Document = field(default_factory=dict)
    _silent: Sequence[str] = ()

    async def document(self) -> tuple[Document, Sequence[str]]:
        if self._silent or stopwatch() - self._made_at > FRESH_SECONDS:
            found = await self._gather()
            self._silent = sorted(name for name, raw in found.items() if raw is None)
            known = {name: raw for name, raw in found.items() if raw is not None}
            self._document = documents.merged("Recoup", __version__, known)
            self._made_at = stopwatch()
        return self._document, self._silent

    async def _gather(self) -> Mapping[str, bytes | None]:
        names = sorted(name for name in self.peers.addresses if name not in NO_DOORS)
        return dict(zip(names, await asyncio.gather(*(self._ask(name) for name in names)), strict=True))

    async def _ask(self, name: str) -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self.peers.get_bytes(name, "/schema/openapi.json")
        except (Failure, TimeoutError):
            return None
