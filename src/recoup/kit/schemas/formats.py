"""All formats through one door: read a schema, compare two, tell whether two are the same.

Reading .proto text starts a process and takes some 60 ms; everything else is computing.
"""

from hashlib import sha256
from typing import cast

import msgspec

from recoup.kit.schemas import avro, avro_rules, json_rules, json_schema, proto_rules, protobuf
from recoup.kit.schemas.json_schema import Document
from recoup.kit.schemas.protobuf import File
from recoup.kit.schemas.source import Difference, Format, Source, refuse

Read = avro.Type | Document | File


def read(source: Source) -> Read:
    """A schema that is one, and whose every reference leads somewhere; raises Invalid with the place if not."""
    match source.format:
        case Format.AVRO:
            return avro.read(source)
        case Format.JSON:
            return json_schema.read(source)
        case Format.PROTOBUF:
            found = protobuf.read(source)
            if not found.main.message_type and not found.main.enum_type:
                refuse("", "the file declares no message")
            return found


def differences(reader: Read, writer: Read) -> list[Difference]:
    """Every reason why a reader with one schema cannot read what was written under another."""
    match reader, writer:
        case Document(), Document():
            return json_rules.differences(reader, writer)
        case File(), File():
            return proto_rules.differences(reader, writer)
        case Document() | File(), _:
            return _other_format()
        case _, Document() | File():
            return _other_format()
        case _:
            return avro_rules.differences(reader, writer)


def _other_format() -> list[Difference]:
    return [Difference(rule="format_changed", path="", detail="the two are not in the same format")]


def identity(source: Source, found: Read) -> bytes:
    """What stays the same however a schema is laid out: white space and the order of keys are not part of it."""
    if isinstance(found, File):
        return sha256(b"PROTOBUF" + found.main.SerializeToString(deterministic=True)).digest()
    return sha256(source.format.encode() + msgspec.json.encode(_decoded(source.text), order="deterministic")).digest()


def _decoded(text: str) -> object:
    try:
        return cast("object", msgspec.json.decode(text))
    except msgspec.DecodeError:  # a bare word is an Avro schema too
        return text.strip()
