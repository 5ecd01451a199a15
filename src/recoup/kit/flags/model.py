"""What a flag says: its variants, who is served which, when, and on which other flags it depends.

Refuses what no flag can mean by its type; what must fit together (shares that add up, variants that exist) is checked
where flags are written.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Json = None | bool | int | float | str | list[Any] | dict[str, Any]
Scalar = bool | int | float | str
KEY_PATTERN = r"^[a-z0-9][a-z0-9._\-]{0,99}$"
FlagKey = Annotated[str, Meta(pattern=KEY_PATTERN)]
VariantName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
Attribute = Annotated[str, Meta(min_length=1, max_length=100)]
Moment = Annotated[datetime, Meta(tz=True)]
Operator = Literal[
    "in", "contains", "starts_with", "ends_with", "lt", "le", "gt", "ge", "before", "after", "exists",
]  # fmt: skip
TARGETING_KEY = "targeting_key"
"""The attribute by which conditions see the targeting key itself."""


class Split(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variant and its share of people, in percent with up to three decimals."""

    variant: VariantName
    percent: Annotated[float, Meta(ge=0, le=100)] = 100


Serve = Annotated[tuple[Split, ...], Meta(min_length=1, max_length=50)]


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that must be true of an attribute, compared with any of `values`; `negate` turns it round."""

    attribute: Attribute
    operator: Operator = "in"
    values: Annotated[tuple[Scalar, ...], Meta(max_length=1_000)] = ()
    negate: bool = False


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who fulfils every condition is served this; the first rule that fits counts."""

    when: Annotated[tuple[Condition, ...], Meta(min_length=1, max_length=20)]
    serve: Serve
    name: Annotated[str, Meta(max_length=100)] = ""


class Prerequisite(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another flag of the store that must serve one of these variants to the same person."""

    flag: FlagKey
    variants: Annotated[tuple[VariantName, ...], Meta(min_length=1, max_length=50)]


def _on_and_off() -> dict[VariantName, Json]:
    return {"on": True, "off": False}


class Flag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One flag of a store; by default on or off for everybody."""

    description: Annotated[str, Meta(max_length=2_000)] = ""
    enabled: bool = False
    """Off: everybody is served `off_variant`, whatever else stands here."""
    variants: Annotated[dict[VariantName, Json], Meta(min_length=1, max_length=50)] = field(default_factory=_on_and_off)
    """What can be served, by name; all of one kind: booleans, texts, numbers, or objects, lists and null."""
    off_variant: VariantName = "off"
    rules: Annotated[tuple[Rule, ...], Meta(max_length=100)] = ()
    serve: Serve = (Split(variant="on"),)
    """What those are served for whom no rule fits."""
    bucket_by: Annotated[str, Meta(max_length=100)] = ""
    """The attribute that is hashed for shares; empty for the targeting key."""
    seed: Annotated[str, Meta(max_length=100)] = ""
    """Hashed along; empty for the flag's key. Flags with the same seed divide people alike."""
    prerequisites: Annotated[tuple[Prerequisite, ...], Meta(max_length=20)] = ()
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    """Served `off_variant` before `starts_at`, and from `ends_at` on."""
    permanent: bool = False
    """Meant to stay as it is: never called stale for not having changed."""


class Context(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a flag is asked for."""

    targeting_key: Annotated[str, Meta(max_length=1_000)] = ""
    attributes: dict[str, Json] = {}


Why = Literal["off", "before_start", "after_end", "prerequisite", "rule", "split", "fixed", "otherwise"]
"""`split`: by one's place in the shares; `fixed`: the same for everybody; `otherwise`: no rule fitted."""


class Evaluation(Struct, frozen=True, kw_only=True):
    """What somebody is served, and why."""

    variant: str
    value: Json
    why: Why
    rule: int | None = None
    """Which rule fitted, from 0."""


class Unanswered(Struct, frozen=True, kw_only=True):
    """No answer: there is no such flag, or nothing to hash for its shares. Whoever asks goes by their default."""

    why: Literal["flag_not_found", "targeting_key_missing"]
    detail: str


def kind_of(value: Json) -> Literal["boolean", "text", "number", "structure"]:
    """Which of the kinds of values a variant's is."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) else "structure"
