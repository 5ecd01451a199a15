"""The packaged files, read once and again when they change."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from recoup.kit.errors import Missing
from recoup.services.platform.pages import domain


class Page(NamedTuple):
    """A file, ready to be sent."""

    content: bytes
    content_type: str
    tag: str


@dataclass(slots=True)
class Pages:
    """The files under one folder; nothing outside it can be asked for."""

    folder: Path
    _read: dict[str, tuple[int, Page]] = field(default_factory=dict)

    def page(self, name: str) -> Page:
        """Raises Missing for what is not there, is of a kind we don't serve, or lies elsewhere."""
        kind = domain.content_type(name)
        path = self.folder / name.lstrip("/")
        if (
            kind is None
            or "\0" in name
            or not path.resolve().is_relative_to(self.folder.resolve())
            or not path.is_file()
        ):
            raise Missing(f"no page {name!r}")
        changed = path.stat().st_mtime_ns
        known = self._read.get(name)
        if known is not None and known[0] == changed:
            return known[1]
        content = path.read_bytes()
        page = Page(content, kind, domain.tag(content))
        self._read[name] = (changed, page)
        return page
