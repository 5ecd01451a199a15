"""Settings from the environment into frozen Structs. Unknown names stop the boot; secrets never print.

`RECOUP_PIPELINE__MAX_ITEMS=400` sets field `max_items` of section `pipeline`; a single name sets a field of the root.
"""

import base64
import os
from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec
from typing_extensions import override

from recoup.kit.errors import Invalid

PREFIX = "RECOUP_"
# Read by the test suite and the build, not by the program.
FOREIGN = frozenset({"RECOUP_SHARED"})

T = TypeVar("T", bound=msgspec.Struct)
Tree = dict[str, "str | Tree"]


class Secret(str):
    """A string that prints as stars; `.reveal()` is the one way to the value."""

    __slots__ = ()

    def reveal(self) -> str:
        return str.__str__(self)

    @override
    def __repr__(self) -> str:
        return "'***'"

    @override
    def __str__(self) -> str:
        return "***"

    @override
    def __format__(self, spec: str) -> str:
        return format("***", spec)


def new_secret() -> Secret:
    """32 random bytes as text; fit to be the seed of an Ed25519 key (RFC 8032, 5.1.5)."""
    return Secret(base64.urlsafe_b64encode(os.urandom(32)).decode())


def load(kind: type[T], environ: Mapping[str, str]) -> T:
    """Settings of `kind` from every RECOUP_ name; raises Invalid naming the wrong name or value."""
    tree: Tree = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and name not in FOREIGN:
            _plant(tree, name.removeprefix(PREFIX).lower().split("__"), value)
    try:
        return msgspec.convert(tree, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise Invalid(f"settings: {error} (names start with {PREFIX}, sections end with __)") from error


def environment(settings: msgspec.Struct) -> dict[str, str]:
    """The names and values that `load` turns into the same settings again, without defaults; for child processes."""
    found: dict[str, str] = {}
    _harvest(settings, PREFIX, found)
    return found


def _plant(tree: Tree, path: list[str], value: str) -> None:
    *sections, leaf = path
    for section in sections:
        branch = tree.setdefault(section, {})
        if isinstance(branch, str):
            raise Invalid(f"settings: {section!r} is both a value and a section")
        tree = branch
    tree[leaf] = value


def _harvest(settings: msgspec.Struct, prefix: str, found: dict[str, str]) -> None:
    for field in msgspec.structs.fields(settings):
        value: object = getattr(settings, field.name)
        name = prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _harvest(value, name + "__", found)
        elif isinstance(value, dict):
            found.update(
                {f"{name}__{key}".upper(): str(entry) for key, entry in cast("dict[str, object]", value).items()}
            )
        elif isinstance(value, Secret):
            found[name] = value.reveal()
        elif value is not None and value != field.default:
            found[name] = str(value)


def _decode(kind: type, value: object) -> object:
    if kind is Secret:
        return Secret(str(value))
    raise NotImplementedError(kind)
