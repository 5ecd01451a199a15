"""Avro's schema resolution: can a reader with one schema read what was written with another. Pure.

Promotions, aliases, defaults, unions and enums as in the specification; named types meet by their last name or by an
alias of the reader's, and decimals only in the same precision and scale.
"""

from dataclasses import dataclass, field
from typing import Final

from recoup.kit.schemas.avro import Array, Enum, Field, Fixed, Map, Primitive, Record, Type, Union, kind_of
from recoup.kit.schemas.source import Difference

PROMOTIONS: Final = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
"""What a writer's primitive may be read as besides itself."""


def differences(reader: Type, writer: Type) -> list[Difference]:
    """Every reason why not; none if the reader can."""
    comparison = _Comparison()
    comparison.compare(reader, writer, "")
    return comparison.found


@dataclass(slots=True)
class _Comparison:
    found: list[Difference] = field(default_factory=list)
    met: set[tuple[int, int]] = field(default_factory=set)
    """Pairs of records under way or done: a recursive type is judged once, and what it holds is said once."""
    unfit: set[tuple[int, int]] = field(default_factory=set)
    """Pairs that were tried in vain."""

    def compare(self, reader: Type, writer: Type, path: str) -> None:
        match reader, writer:
            case _, Union():
                for place, branch in enumerate(writer.branches):
                    self._branch(reader, branch, path, place)
            case Union(), _:
                self._to_union(reader, writer, path)
            case Record(), Record():
                self._records(reader, writer, path)
            case Enum(), Enum():
                self._enums(reader, writer, path)
            case Fixed(), Fixed():
                self._fixed(reader, writer, path)
            case Array(), Array():
                self.compare(reader.items, writer.items, f"{path}/items")
            case Map(), Map():
                self.compare(reader.values, writer.values, f"{path}/values")
            case Primitive(), Primitive():
                self._primitives(reader, writer, path)
            case _:
                self._say("type_mismatch", path, f"{kind_of(writer)} cannot be read as {kind_of(reader)}")

    def _branch(self, reader: Type, branch: Type, path: str, place: int) -> None:
        if isinstance(reader, Union) and self._fits_one(reader, branch):
            return
        if not isinstance(reader, Union):
            self.compare(reader, branch, path)
            return
        self._say("missing_union_branch", path, f"the writer's branch {place} ({_named(branch)}) fits none of these")

    def _to_union(self, reader: Union, writer: Type, path: str) -> None:
        if not self._fits_one(reader, writer):
            self._say("missing_union_branch", path, f"{_named(writer)} fits none of these")

    def _fits_one(self, reader: Union, writer: Type) -> bool:
        return any(self._fits(branch, writer) for branch in reader.branches)

    def _fits(self, reader: Type, writer: Type) -> bool:
        """On trial: what does not fit here may fit elsewhere, so nothing is said of it."""
        if (id(reader), id(writer)) in self.unfit:
            return False
        trial = _Comparison(met=set(self.met), unfit=self.unfit)
        trial.compare(reader, writer, "")
        if trial.found:
            self.unfit.add((id(reader), id(writer)))
            return False
        self.met |= trial.met
        return True

    def _records(self, reader: Record, writer: Record, path: str) -> None:
        if (id(reader), id(writer)) in self.met:
            return
        self.met.add((id(reader), id(writer)))
        if not _same_name(reader, writer):
            self._say("name_mismatch", f"{path}/name", f"the writer's record is {writer.name!r}, not {reader.name!r}")
            return
        written = {entry.name: entry for entry in writer.fields}
        for place, entry in enumerate(reader.fields):
            source = _written_as(entry, written)
            if source is not None:
                self.compare(entry.type, source.type, f"{path}/fields/{place}/type")
            elif not entry.has_default:
                detail = f"field {entry.name!r} has no default, and the writer does not write it"
                self._say("reader_field_missing_default", f"{path}/fields/{place}", detail)

    def _enums(self, reader: Enum, writer: Enum, path: str) -> None:
        if not _same_name(reader, writer):
            self._say("name_mismatch", f"{path}/name", f"the writer's enum is {writer.name!r}, not {reader.name!r}")
            return
        unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if unknown and reader.default is None:
            self._say("missing_enum_symbols", f"{path}/symbols", f"the writer may write {', '.join(unknown)}")

    def _fixed(self, reader: Fixed, writer: Fixed, path: str) -> None:
        if not _same_name(reader, writer):
            self._say("name_mismatch", f"{path}/name", f"the writer's fixed is {writer.name!r}, not {reader.name!r}")
        elif reader.size != writer.size:
            self._say("fixed_size_mismatch", f"{path}/size", f"{writer.size} bytes are written, {reader.size} expected")
        else:
            self._decimals(reader, writer, path)

    def _primitives(self, reader: Primitive, writer: Primitive, path: str) -> None:
        if reader.kind != writer.kind and reader.kind not in PROMOTIONS.get(writer.kind, ()):
            self._say("type_mismatch", path, f"{writer.kind} cannot be read as {reader.kind}")
            return
        self._decimals(reader, writer, path)

    def _decimals(self, reader: Primitive | Fixed, writer: Primitive | Fixed, path: str) -> None:
        ours, theirs = reader.decimal, writer.decimal
        if ours is None or theirs is None:
            return
        if (ours.precision, ours.scale) != (theirs.precision, theirs.scale):
            detail = f"({theirs.precision}, {theirs.scale}) is written, ({ours.precision}, {ours.scale}) expected"
            self._say("decimal_mismatch", path, f"precision and scale {detail}")

    def _say(self, rule: str, path: str, detail: str) -> None:
        self.found.append(Difference(rule=rule, path=path or "/", detail=detail))


def _written_as(entry: Field, written: dict[str, Field]) -> Field | None:
    return next((written[name] for name in (entry.name, *entry.aliases) if name in written), None)


def _same_name(reader: Record | Enum | Fixed, writer: Record | Enum | Fixed) -> bool:
    return _last(reader.name) == _last(writer.name) or writer.name in reader.aliases


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _named(type_: Type) -> str:
    return type_.name if isinstance(type_, Record | Enum | Fixed) else kind_of(type_)
