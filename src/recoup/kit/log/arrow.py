"""Arrow tables to and from the bytes of a log record: one IPC stream, LZ4-compressed buffers. Knows no column."""

import pyarrow as pa

# LZ4 costs under 0.2 µs an event and makes a record about a third as large, which every later copy pays back.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
# Below this many rows the frame of each buffer outweighs what compressing saves.
_COMPRESS_FROM = 64
_PLAIN = pa.ipc.IpcWriteOptions()


def encode(table: pa.Table | pa.RecordBatch) -> bytes:
    """One self-describing IPC stream."""
    sink = pa.BufferOutputStream()
    options = _OPTIONS if table.num_rows >= _COMPRESS_FROM else _PLAIN
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def decode(value: bytes) -> pa.Table:
    """The rows of one record; raises pa.ArrowInvalid for bytes that are not such a stream."""
    with pa.ipc.open_stream(value) as reader:
        return reader.read_all()
