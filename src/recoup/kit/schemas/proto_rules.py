"""Protobuf: can a reader with one schema read messages that were written with another. Pure.

What counts is the wire: numbers, types that are written alike, labels, `oneof`. Names of fields and the package are not
on the wire and may change; a number or name that the writer has reserved may not come back; a message that was written
must still be there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from recoup.kit.schemas.protobuf import File
from recoup.kit.schemas.source import Difference

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

(
    _DOUBLE, _FLOAT, _INT64, _UINT64, _INT32, _FIXED64, _FIXED32, _BOOL, _STRING, _GROUP, _MESSAGE, _BYTES, _UINT32,
    _ENUM, _SFIXED32, _SFIXED64, _SINT32, _SINT64,
) = range(1, 19)  # fmt: skip
_REQUIRED, _REPEATED = 2, 3
_WORDS: Final = (
    "", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message",
    "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
)  # fmt: skip
_ALIKE: Final = (
    frozenset({_INT32, _UINT32, _INT64, _UINT64, _BOOL, _ENUM}),
    frozenset({_SINT32, _SINT64}),
    frozenset({_STRING, _BYTES}),
    frozenset({_FIXED32, _SFIXED32}),
    frozenset({_FIXED64, _SFIXED64}),
)
"""Types whose values are written alike."""
_WHOLE: Final = frozenset({_STRING, _BYTES, _MESSAGE})
"""Of these a reader that expects one takes the last, or merges them; packed numbers it cannot read as one."""


def differences(reader: File, writer: File) -> list[Difference]:
    """Every reason why not; none if the reader can."""
    return list(dict.fromkeys(_Comparison(reader, writer).run()))


@dataclass(slots=True)
class _Comparison:
    reader: File
    writer: File
    met: set[tuple[str, str]] = field(default_factory=set)

    def run(self) -> Iterator[Difference]:
        ours = {name.removeprefix(self.reader.package): name for name, _ in self.reader.own_messages()}
        for name, _ in self.writer.own_messages():
            short = name.removeprefix(self.writer.package)
            if short in ours:
                yield from self._messages(ours[short], name)
            elif not self.writer.messages[name].options.map_entry:
                yield _said("message_removed", short, f"message {short[1:]} can be written and is not here")

    def _messages(self, name: str, written: str) -> Iterator[Difference]:
        if (name, written) in self.met:
            return
        self.met.add((name, written))
        reader, writer = self.reader.messages[name], self.writer.messages[written]
        place = name.removeprefix(self.reader.package)
        before = {entry.number: entry for entry in writer.field}
        for entry in reader.field:
            here = f"{place}.{entry.name}"
            if entry.number in before:
                yield from self._fields(entry, before[entry.number], here)
            else:
                yield from _new_field(entry, writer, here)
        yield from _removed_fields(reader, writer, place)
        yield from _oneofs(reader, writer, place)

    def _fields(self, entry: "FieldDescriptorProto", before: "FieldDescriptorProto", here: str) -> Iterator[Difference]:
        if (entry.label == _REQUIRED) != (before.label == _REQUIRED):
            change = "added" if entry.label == _REQUIRED else "removed"
            yield _said(f"required_field_{change}", here, "required can neither come nor go")
        if entry.type == before.type in {_MESSAGE, _GROUP}:
            yield from self._types(entry, before, here)
        elif entry.type == before.type == _ENUM:
            yield from self._named(entry, before, here, "enum")
        elif entry.type != before.type and not any({entry.type, before.type} <= alike for alike in _ALIKE):
            rule = "field_kind_changed" if _MESSAGE in {entry.type, before.type} else "field_scalar_kind_changed"
            yield _said(rule, here, f"{_WORDS[before.type]} is not written like {_WORDS[entry.type]}")
        if (entry.label == _REPEATED) != (before.label == _REPEATED):
            yield from self._labels(entry, before, here)

    def _labels(self, entry: "FieldDescriptorProto", before: "FieldDescriptorProto", here: str) -> Iterator[Difference]:
        if self._is_map(self.reader, entry) or self._is_map(self.writer, before):
            yield _said("field_kind_changed", here, "a map is read as a map only")
        elif not {entry.type, before.type} <= _WHOLE:
            yield _said("field_numeric_label_changed", here, "packed numbers cannot be read as one, nor one as many")

    @staticmethod
    def _is_map(file: File, entry: "FieldDescriptorProto") -> bool:
        found = file.messages.get(entry.type_name)
        return found is not None and found.options.map_entry

    def _types(self, entry: "FieldDescriptorProto", before: "FieldDescriptorProto", here: str) -> Iterator[Difference]:
        ours, theirs = self._is_map(self.reader, entry), self._is_map(self.writer, before)
        if ours != theirs and entry.label == before.label:
            yield _said("field_kind_changed", here, "a map is read as a map only")
            return
        other = [] if ours else list(self._named(entry, before, here, "message"))
        yield from other
        if not other and entry.type_name in self.reader.messages and before.type_name in self.writer.messages:
            yield from self._messages(entry.type_name, before.type_name)

    def _named(
        self, entry: "FieldDescriptorProto", before: "FieldDescriptorProto", here: str, kind: str
    ) -> Iterator[Difference]:
        ours = entry.type_name.removeprefix(self.reader.package + ".")
        theirs = before.type_name.removeprefix(self.writer.package + ".")
        if ours != theirs:
            yield _said("field_named_type_changed", here, f"{kind} {theirs} is written, {ours} expected")


def _new_field(entry: "FieldDescriptorProto", writer: "DescriptorProto", here: str) -> Iterator[Difference]:
    if entry.label == _REQUIRED:
        yield _said("required_field_added", here, "the writer does not write it")
    if any(kept.start <= entry.number < kept.end for kept in writer.reserved_range):
        yield _said("reserved_number_used", here, f"number {entry.number} is reserved: it once meant something else")
    if entry.name in writer.reserved_name:
        yield _said("reserved_name_used", here, f"name {entry.name!r} is reserved: it once meant something else")


def _removed_fields(reader: "DescriptorProto", writer: "DescriptorProto", place: str) -> Iterator[Difference]:
    kept = {entry.number for entry in reader.field}
    choices = {number for numbers in _choices(reader).values() for number in numbers}
    for entry in writer.field:
        if entry.number in kept:
            continue
        here = f"{place}.{entry.name}"
        if entry.label == _REQUIRED:
            yield _said("required_field_removed", here, "required can neither come nor go")
        siblings = next((numbers for numbers in _choices(writer).values() if entry.number in numbers), set[int]())
        if siblings & choices:
            yield _said(
                "oneof_field_removed", here, "where it was written, the oneof would look as if nothing were set"
            )


def _oneofs(reader: "DescriptorProto", writer: "DescriptorProto", place: str) -> Iterator[Difference]:
    before = {entry.number for entry in writer.field}
    together = [frozenset(numbers) for numbers in _choices(writer).values()]
    for name, numbers in _choices(reader).items():
        kept = numbers & before
        if len(kept) > 1 and not any(kept <= choice for choice in together):
            yield _said(
                "fields_moved_to_oneof", f"{place}.{name}", "several of its fields may have been written at once"
            )


def _choices(message: "DescriptorProto") -> dict[str, set[int]]:
    """The numbers of each real oneof; `optional` makes one of its own in proto3, which is none."""
    found: dict[str, set[int]] = {}
    for entry in message.field:
        if entry.HasField("oneof_index") and not entry.proto3_optional:
            found.setdefault(message.oneof_decl[entry.oneof_index].name, set()).add(entry.number)
    return found


def _said(rule: str, place: str, detail: str) -> Difference:
    return Difference(rule=rule, path=place.lstrip("."), detail=detail)
