"""Takes a transfer coding off a body, and never makes more of it than it may become."""

import zlib
from typing import Final

import pyarrow as pa

from recoup.kit.errors import Invalid, TooLarge, Unsupported

_GZIP: Final = 16 + zlib.MAX_WBITS
_MOST_MEMBERS: Final = 100
"""What follows a member is copied once: thousands of empty ones would cost more than they say."""
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}


def unpacked(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was before `coding`; TooLarge above `limit` bytes, Invalid where damaged, Unsupported else."""
    match coding.strip().lower():
        case "" | "identity":
            if len(body) > limit:
                raise TooLarge(f"a body of {len(body)} bytes; at most {limit} are taken")
            return body
        case "gzip" | "x-gzip":
            content = _gunzipped(body, limit)
        case "zstd":
            content = _unzstd(body, limit)
        case _:
            said = f"unknown content encoding {coding!r}; gzip, zstd and identity are taken"
            raise Unsupported(said, code="unsupported_encoding")
    if len(content) > limit:
        raise TooLarge(f"more than {limit} bytes after decompression; that is the most taken")
    return content


def coding_of(body: bytes) -> str:
    """The coding that the first bytes tell of; empty for none."""
    return _MAGIC.get(body[:2], "")


def _gunzipped(body: bytes, limit: int) -> bytes:
    """What is packed is several members one after the other as well as one: what follows the first is not dropped."""
    content = b""
    for _ in range(_MOST_MEMBERS):
        unzip = zlib.decompressobj(_GZIP)
        try:
            content += unzip.decompress(body, limit + 1 - len(content))
        except zlib.error as error:
            raise Invalid(f"the body is not gzip: {error}", code="bad_encoding") from error
        if len(content) > limit:
            return content
        if not unzip.eof:
            raise Invalid("the gzip body ends too early", code="bad_encoding")
        body = unzip.unused_data.lstrip(b"\0")
        if not body:
            return content
    raise Invalid(f"the gzip body has more than {_MOST_MEMBERS} members", code="bad_encoding")


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise Invalid(f"the body is not zstd: {error}", code="bad_encoding") from error
