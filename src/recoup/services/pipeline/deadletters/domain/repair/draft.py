"""An event on its way to being whole: what it is so far, what was changed, and how sure all of that is."""

from dataclasses import dataclass, field

import msgspec

from recoup.services.pipeline.deadletters.domain.letters import Change
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.values import Option

Place = tuple[str | int, ...]
"""Where a value stands: `("items", 0, "price")`."""


@dataclass(slots=True)
class Draft:
    """An event on its way to being whole."""

    event: Table = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    sureness: float = 1.0
    torn: bool = False
    money: dict[Place, list[Option]] = field(default_factory=dict)
    said: str | None = None
    """The currency that the amounts name where the event does not."""

    def note(self, what: str, place: str, reason: str, sureness: float = 1.0) -> None:
        """One change, which may make the whole less sure."""
        self.changes.append(Change(what=what, field=place, reason=reason, confidence=round(sureness, 4)))
        self.sureness *= sureness


def short(value: Json) -> str:
    """A value as a reason shows it."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - fits a line
