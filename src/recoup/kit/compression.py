"""Takes a transfer coding off a body, and never makes more of it than it may become."""

import zlib
from typing import Final

from recoup.kit.errors import Invalid, TooLarge

_GZIP: Final = 16 + zlib.MAX_WBITS


def unpacked(body: bytes, coding: str, limit: int) -> bytes:
    """The body as it was before `coding`; TooLarge above `limit` bytes, Invalid where damaged or unknown."""
    name = coding.strip().lower()
    if name in {"gzip", "x-gzip"}:
        body = _gunzipped(body, limit)
    elif name not in {"", "identity"}:
        raise Invalid(f"unknown content encoding {coding!r}; gzip is known", code="unsupported_encoding")
    if len(body) > limit:
        raise TooLarge(f"a body of {len(body)} bytes; at most {limit} are taken")
    return body


def _gunzipped(body: bytes, limit: int) -> bytes:
    unzip = zlib.decompressobj(_GZIP)
    try:
        content = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise Invalid(f"the body is not gzip: {error}", code="bad_encoding") from error
    if len(content) > limit:
        raise TooLarge(f"more than {limit} bytes after decompression; that is the most taken")
    if not unzip.eof:
        raise Invalid("the gzip body ends too early", code="bad_encoding")
    return content
