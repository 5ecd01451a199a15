"""Protobuf schemas as descriptors: from .proto text by the compiler, or from a descriptor in base64 as clients send it.

Starts a process for text only; whoever must not hands over descriptors.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from recoup.kit.schemas.source import Format, Source, refuse

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

WELL_KNOWN: Final = "google/protobuf/"


@dataclass(frozen=True, slots=True)
class File:
    """A compiled file, with every type it can name."""

    main: "FileDescriptorProto"
    imported: "list[FileDescriptorProto]"
    messages: "Mapping[str, DescriptorProto]"
    """By full name with a leading dot, as fields name them."""
    enums: "Mapping[str, EnumDescriptorProto]"

    @property
    def serialized(self) -> str:
        """The file alone, in base64, as clients of registries exchange it."""
        return _encoded(self.main)

    @property
    def package(self) -> str:
        return f".{self.main.package}" if self.main.package else ""

    def own_messages(self) -> "Iterator[tuple[str, DescriptorProto]]":
        """The messages that the file itself declares, nested ones too."""
        for message in self.main.message_type:
            yield from _nested(self.package, message)

    def own_enums(self) -> "Iterator[tuple[str, EnumDescriptorProto]]":
        for enum in self.main.enum_type:
            yield f"{self.package}.{enum.name}", enum
        for name, message in self.own_messages():
            for enum in message.enum_type:
                yield f"{name}.{enum.name}", enum


def read(source: Source) -> File:
    """The compiled file; raises Invalid with the place of what is wrong."""
    imports = {name: _descriptor(text) for name, text in source.references.items()}
    known: list[FileDescriptorProto] = []
    for name, descriptor in imports.items():
        if descriptor is not None:
            descriptor.name = name
            known.append(descriptor)
    main = _descriptor(source.text)
    if main is None or len(known) < len(imports):
        if main is not None:
            refuse("", "a descriptor cannot refer to text: hand in both as text, or both as descriptors")
        from recoup.kit.schemas import protoc  # noqa: PLC0415 - the one part that starts a process

        texts = {name: source.references[name] for name, found in imports.items() if found is None}
        return of_set(protoc.compiled(source.text, texts, _set([*_well_known(), *known])))
    main.name = _free_name(imports)
    _check([*known, main])
    return _file(main, known)


def of_set(serialized: bytes) -> File:
    """What the compiler made, or `as_set` of such a file."""
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - 4 MB that a process without Protobuf does without

    *imported, main = descriptor_pb2.FileDescriptorSet.FromString(serialized).file
    return _file(main, imported)


def as_set(file: File) -> bytes:
    """The file with all it imports, as one piece."""
    return _set([*file.imported, file.main])


def portable(serialized: bytes) -> Source:
    """The same as descriptors in base64, one for each file: what needs no compiler to be read."""
    file = of_set(serialized)
    inner = {one.name: one for one in file.imported if not one.name.startswith(WELL_KNOWN)}
    references = {name: _encoded(one) for name, one in inner.items()}
    return Source(format=Format.PROTOBUF, text=file.serialized, references=references)


def _encoded(file: "FileDescriptorProto") -> str:
    return base64.b64encode(file.SerializeToString(deterministic=True)).decode()


def _set(files: "Sequence[FileDescriptorProto]") -> bytes:
    from google.protobuf import descriptor_pb2  # noqa: PLC0415 - see above

    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString(deterministic=True)


def _free_name(taken: Mapping[str, object]) -> str:
    name = "schema.proto"
    while name in taken:
        name = f"_{name}"
    return name


def _descriptor(text: str) -> "FileDescriptorProto | None":
    """A descriptor in base64, or None for text: no .proto file is base64, as every one holds a `;` or a brace."""
    from google.protobuf import descriptor_pb2, message  # noqa: PLC0415 - see above

    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw:
        return None
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(raw)
    except message.DecodeError as error:
        return refuse("", f"neither a .proto file nor a file descriptor: {error}")


def _well_known() -> "Iterator[FileDescriptorProto]":
    """The types that come with Protobuf."""
    from google.protobuf import (  # noqa: PLC0415 - see above
        any_pb2,
        api_pb2,
        descriptor_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        source_context_pb2,
        struct_pb2,
        timestamp_pb2,
        type_pb2,
        wrappers_pb2,
    )

    for module in (
        descriptor_pb2, any_pb2, duration_pb2, empty_pb2, field_mask_pb2, source_context_pb2, struct_pb2, timestamp_pb2,
        type_pb2, api_pb2, wrappers_pb2,
    ):  # fmt: skip
        yield descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def _check(files: "Sequence[FileDescriptorProto]") -> None:
    """That every name leads somewhere, as the compiler would; a pool of their own keeps them from everybody else's."""
    from google.protobuf import descriptor_pool  # noqa: PLC0415 - see above

    pool: Any = descriptor_pool.DescriptorPool()
    try:
        for file in (*_well_known(), *files):
            pool.AddSerializedFile(file.SerializeToString())
    except (TypeError, ValueError, KeyError) as error:
        refuse("", f"the descriptor does not hold together: {error}")


def _file(main: "FileDescriptorProto", imported: "Sequence[FileDescriptorProto]") -> File:
    messages: dict[str, DescriptorProto] = {}
    enums: dict[str, EnumDescriptorProto] = {}
    for file in (*imported, main):
        file.ClearField("source_code_info")
        package = f".{file.package}" if file.package else ""
        enums.update({f"{package}.{enum.name}": enum for enum in file.enum_type})
        for message in file.message_type:
            for name, found in _nested(package, message):
                messages[name] = found
                enums.update({f"{name}.{enum.name}": enum for enum in found.enum_type})
                _plain_names(found)
    return File(main, list(imported), messages, enums)


def _plain_names(message: "DescriptorProto") -> None:
    """A JSON name that follows from the field's is not said: some compilers write it out, others don't."""
    for field in message.field:
        if field.json_name == json_name(field.name):
            field.ClearField("json_name")


def json_name(name: str) -> str:
    """The name of a field in JSON where none is given."""
    first, *others = name.split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def _nested(parent: str, message: "DescriptorProto") -> "Iterator[tuple[str, DescriptorProto]]":
    name = f"{parent}.{message.name}"
    yield name, message
    for inner in message.nested_type:
        yield from _nested(name, inner)
