"""Protobuf messages of our own, from the descriptors that `make proto` makes of a .proto file beside them.

Reads bytes into messages, messages into plain tables, and says when they hold what the .proto does not know; means
nothing by it.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from recoup.kit.errors import Invalid

_LENGTH_FIRST: Final = 2
"""The wire type of messages, and of text and bytes."""
_MORE: Final = 0x80
"""On a byte of a number that goes on."""
Message = Any
"""Classes of messages are made at run time; their fields are known to the .proto only."""


@cache
def message_class(package: str, file: str, name: str) -> Message:
    """The class of a message, by the package and name of its descriptors' file and its own full name."""
    found = descriptor_pb2.FileDescriptorSet.FromString((files(package) / file).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for each in found.file:
        pool.Add(each)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


class Tables:
    """Makes plain tables of messages of one kind: what is said, by name.

    Text that is empty and 0 count as not said unless the field is optional. All fields are fetched in one call: half
    the cost of asking a message which ones it has.
    """

    def __init__(self, descriptor: Message) -> None:
        fields = descriptor.fields
        self._names = [field.name for field in fields if field.message_type is None]
        self._fetch = attrgetter(*self._names)
        self._optional = [field.name for field in fields if field.message_type is None and field.has_presence]
        inner = [(field, Tables(field.message_type)) for field in fields if field.message_type is not None]
        self._lists = [(field.name, tables) for field, tables in inner if field.is_repeated]
        self._parts = [(field.name, tables) for field, tables in inner if not field.is_repeated]

    def of(self, messages: Iterable[Message]) -> list[dict[str, object]]:
        """One table a message."""
        return [self.table(message) for message in messages]

    def table(self, message: Message) -> dict[str, object]:
        """The table of one message."""
        values = zip(self._names, self._fetch(message), strict=True)
        table: dict[str, object] = {name: value for name, value in values if value}
        for name in self._optional:
            if name not in table and message.HasField(name):
                table[name] = getattr(message, name)
        for name, tables in self._lists:
            inner = getattr(message, name)
            if inner:
                table[name] = [tables.table(each) for each in inner]
        for name, tables in self._parts:
            if message.HasField(name):
                table[name] = tables.table(getattr(message, name))
        return table


def parsed(kind: Message, body: bytes) -> Message:
    """The message; raises Invalid where the bytes are none."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise Invalid(f"the body is not Protobuf: {error}", code="malformed_protobuf") from error


def fields(body: bytes) -> list[tuple[int, object]]:
    """Numbers and contents of a message's fields, in their order, unread; raises Invalid where their ends are wrong."""
    try:
        found = empty_pb2.Empty.FromString(body)
    except DecodeError as error:
        raise Invalid(f"the body is not Protobuf: {error}", code="malformed_protobuf") from error
    return [(field.field_number, field.data) for field in UnknownFieldSet(found)]


def enclosed(number: int, message: bytes) -> bytes:
    """A message as the one field, of a number up to 15, of another."""
    head, size = bytearray([number << 3 | _LENGTH_FIRST]), len(message)
    while size >= _MORE:
        head.append(size % _MORE | _MORE)
        size //= _MORE
    return bytes([*head, size]) + message


def knows_all(message: Message, size: int) -> bool:
    """Whether nothing unknown is in what came as `size` bytes; False may also mean that it came in an odd encoding.

    Forgets what is unknown. Asks whole batches in a third of a microsecond an event, where looking costs several.
    """
    message.DiscardUnknownFields()
    return message.ByteSize() == size


def unknown_numbers(message: Message) -> list[int]:
    """Numbers of fields that the .proto does not have, those of inner messages too."""
    numbers = [field.field_number for field in UnknownFieldSet(message)]
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            inner = value if descriptor.is_repeated else [value]
            numbers += [number for each in inner for number in unknown_numbers(each)]
    return numbers
