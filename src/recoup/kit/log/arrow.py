"""Arrow tables to and from the bytes of a log record: one IPC stream with one batch. Knows no column.

Columns without a value are left out and come back as nulls: a record of 60 events of 31 columns, most of them empty,
is 15 kB instead of 21. It also lets a schema grow: a record from before a column existed reads as if it had been empty.

Most records are small, so what counts is the work a record, not a row: a stream begins with its schema, and writing or
parsing thirty columns of it cost more than sixty rows did. Parts of one table share the schema's bytes, and a schema
whose bytes have been read before is not parsed again (measured: 81 to 32 µs to read a record of 62 rows).
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

import pyarrow as pa

# LZ4 costs under 0.2 µs an event and makes a record about a third as large, which every later copy pays back.
# One thread: a record's buffers are so small that handing them to a pool costs more than compressing them.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
# Below this many rows the frame of each buffer outweighs what compressing saves.
_COMPRESS_FROM = 128
# From this size on, columns nobody asks for are worth opening a reader that skips them; smaller ones cost nothing.
_SKIP_FROM_BYTES = 32_768
_CONTINUES = b"\xff\xff\xff\xff"
_END = b"\xff\xff\xff\xff\0\0\0\0"


def encode(table: pa.Table) -> bytes:
    """One self-describing IPC stream."""
    return encode_parts(table, [(0, table.num_rows)])[0]


def encode_parts(table: pa.Table, parts: Sequence[tuple[int, int]]) -> list[bytes]:
    """Consecutive rows as streams of their own, given by their first row and how many they are."""
    filled = [name for name, column in zip(table.column_names, table.columns, strict=True) if not _empty(column)]
    batch = _one_batch(table.select(filled or table.column_names[:1]))
    schema: bytes = batch.schema.serialize().to_pybytes()
    return [_stream(batch.slice(start, count), schema) for start, count in parts]


def _stream(batch: pa.RecordBatch, schema: bytes) -> bytes:
    if batch.num_rows < _COMPRESS_FROM:
        return b"".join((schema, batch.serialize(), _END))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def decode_slim(value: bytes) -> pa.Table:
    """The rows of one record with the columns it carries and no others; raises pa.ArrowInvalid as `joined` does."""
    return pa.Table.from_batches([_read(value)[1]])


def joined(values: Sequence[bytes], schema: pa.Schema) -> tuple[pa.Table, list[int]]:
    """The rows of many records as one table of `schema`, each column in one piece; and how many each record had.

    Raises pa.ArrowInvalid for bytes that are not such a stream.
    """
    read = [_read(value, schema) for value in values]
    tables = [
        _conformed(pa.Table.from_batches([batch for _, batch in alike]), schema)
        for _, alike in groupby(read, key=itemgetter(0))
    ]
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    return whole.combine_chunks(), [batch.num_rows for _, batch in read]


def flaw(value: bytes, schema: pa.Schema) -> str | None:
    """Why a record cannot be read as rows of `schema`; None where it can."""
    try:
        joined([value], schema)
    except pa.ArrowException as error:
        return f"{type(error).__name__}: {error}"
    return None


def _empty(column: pa.ChunkedArray) -> bool:
    return column.null_count == len(column)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def _read(value: bytes, wanted: pa.Schema | None = None) -> tuple[object, pa.RecordBatch]:
    """A record's rows, with something that is equal for records whose batches have the same schema."""
    try:
        length = 8 + int.from_bytes(value[4:8], "little")
        head = value[:length]
        if head[:4] != _CONTINUES or len(head) < length:
            raise pa.ArrowInvalid("not an Arrow stream")
        schema, fields = _plan(head, None if wanted is None else tuple(wanted.names))
        if fields is not None and len(value) >= _SKIP_FROM_BYTES:
            return (head, True), _opened(value, fields)
        batch = _only(value, length, schema)
    except OSError as error:
        # Some broken streams are reported as if a file had failed.
        raise pa.ArrowInvalid(str(error)) from error
    return (head, False), batch if fields is None else batch.select(fields)


def _only(value: bytes, start: int, schema: pa.Schema) -> pa.RecordBatch:
    """The batch after a stream's schema, where it is the only one."""
    message = pa.ipc.read_message(pa.py_buffer(value)[start:])
    end = start + 8 + int.from_bytes(value[start + 4 : start + 8], "little") + message.body.size
    if value[end:] != _END:
        return _opened(value, list(range(len(schema))))
    return pa.ipc.read_record_batch(message, schema)


def _opened(value: bytes, fields: Sequence[int]) -> pa.RecordBatch:
    """Some columns of a stream of any number of batches."""
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=list(fields))
    with pa.ipc.open_stream(value, options=options) as reader:
        return _one_batch(reader.read_all())


@lru_cache(maxsize=512)
def _plan(head: bytes, wanted: tuple[str, ...] | None) -> tuple[pa.Schema, list[int] | None]:
    """A stream's schema from its first message, and which of its columns to read; None for all of them."""
    schema = pa.ipc.read_schema(pa.py_buffer(head))
    if wanted is None:
        return schema, None
    fields = [place for place, name in enumerate(schema.names) if name in wanted]
    # One column at least tells how many rows there are.
    return schema, None if len(fields) == len(schema) else fields or [0]


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if table.schema == schema:
        return table
    present = set(table.column_names)
    rows = table.num_rows
    return pa.Table.from_arrays(
        [
            _cast(table.column(field.name), field.type) if field.name in present else pa.nulls(rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)
