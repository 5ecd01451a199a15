"""A store's schemas as services see them: what is in use, what becomes of events that break it, how old ones rise.

Only declared steps, never code. A step that cannot be taken (nothing there, a text that is no number) leaves things as
they are: what comes of it is held against the newer schema anyway.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from recoup.kit.money import Currency
from recoup.kit.schemas.source import Format

OLDEST_VERSION: Final = 1
_NAME: Final = r"[^.\[\]]+"
_INNER: Final = rf"({_NAME}(\[\])?\.)*"
Name = Annotated[str, Meta(pattern=rf"^{_NAME}$", max_length=128, description="one property's name")]
Place = Annotated[
    str,
    Meta(
        pattern=rf"^{_INNER}{_NAME}$",
        max_length=512,
        description="a place in `properties`: names with dots; `lines[].sku` is every line's",
    ),
]
ValuePlace = Annotated[
    str,
    Meta(
        pattern=rf"^{_INNER}{_NAME}(\[\])?$",
        max_length=512,
        description="the same, or with `[]` at its end every value of a list",
    ),
]
OnePlace = Annotated[
    str, Meta(pattern=rf"^({_NAME}\.)*{_NAME}$", max_length=512, description="a place in `properties`, in no list")
]


class OnViolation(StrEnum):
    """What becomes of an event that breaks its schema."""

    REJECT = "reject"
    """It is set aside among the dead letters."""
    WARN = "warn"
    """It is kept as it came, and counted."""
    MIGRATE = "migrate"
    """It need not keep to the version it names, only to what the migrations make of it; else it is set aside."""


class Rename(Struct, frozen=True, tag_field="op", tag="rename", forbid_unknown_fields=True):
    """Gives a property another name where it stands."""

    path: Place
    to: Name


class Move(Struct, frozen=True, tag_field="op", tag="move", forbid_unknown_fields=True):
    """Puts a property elsewhere."""

    path: OnePlace
    to: OnePlace


class Default(Struct, frozen=True, tag_field="op", tag="default", forbid_unknown_fields=True):
    """Gives a value where there is none."""

    path: Place
    value: object


class Convert(Struct, frozen=True, tag_field="op", tag="convert", forbid_unknown_fields=True):
    """Says the same in another type; what cannot be said in it stays."""

    path: ValuePlace
    to: Literal["string", "integer", "number", "boolean"]


class MinorUnits(Struct, frozen=True, tag_field="op", tag="minor_units", forbid_unknown_fields=True):
    """Makes whole minor units of money in units of the currency: "19.99" in EUR is 1999, 1500 in JPY stays 1500.

    The currency is `currency`, else what stands at `currency_at`, else the event's own. Without one, or with more
    digits than it has, the money stays as it is.
    """

    path: ValuePlace
    currency: Currency | None = None
    currency_at: OnePlace | None = None


class Drop(Struct, frozen=True, tag_field="op", tag="drop", forbid_unknown_fields=True):
    """Takes a property away."""

    path: Place


Step = Rename | Move | Default | Convert | MinorUnits | Drop
Steps = Annotated[tuple[Step, ...], Meta(min_length=1, max_length=100)]


class SubjectRules(Struct, frozen=True, kw_only=True):
    """What is set for one type of events."""

    on_violation: OnViolation = OnViolation.REJECT
    migrations: Mapping[int, tuple[Step, ...]] = {}
    """By the version they lead away from, to the next number."""


class ActiveVersion(Struct, frozen=True, kw_only=True):
    """A version in use, with all that is needed to read it; Protobuf as descriptors, so that no compiler is needed."""

    name: str
    version: int
    id: int
    format: Format
    schema: str
    references: dict[str, str]


class ActiveSchemas(Struct, frozen=True, kw_only=True):
    """All of a store's schemas in use, and the revision that `config-changes` speaks of."""

    revision: int
    items: Sequence[ActiveVersion]
    rules: dict[str, SubjectRules] = {}
    """By subject."""
