"""Packed bodies: whole or refused, and never more than the limit."""

import gzip
import zlib

import pyarrow as pa
import pytest

from recoup.kit.compression import unpacked
from recoup.kit.errors import Invalid, TooLarge

FIRST, SECOND = b"first line\n", b"second line\n"


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content))


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_what_was_packed_in_several_pieces_is_read_to_its_end(coding: str, packed) -> None:
    assert unpacked(packed(FIRST) + packed(SECOND), coding, 1_000) == FIRST + SECOND


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_pieces_count_together(coding: str, packed) -> None:
    with pytest.raises(TooLarge):
        unpacked(packed(b"x" * 600) + packed(b"y" * 600), coding, 1_000)


@pytest.mark.parametrize(("coding", "packed"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_a_damaged_piece_is_never_left_out_in_silence(coding: str, packed) -> None:
    for tail in (packed(SECOND)[:-5], b"rubbish"):
        with pytest.raises(Invalid):
            unpacked(packed(FIRST) + tail, coding, 1_000)


def test_padding_of_a_gzip_body_is_passed_over() -> None:
    assert unpacked(gzip.compress(FIRST) + b"\0" * 512, "gzip", 1_000) == FIRST


def test_thousands_of_empty_pieces_are_refused() -> None:
    empty = zlib.compressobj(wbits=16 + zlib.MAX_WBITS).flush()

    with pytest.raises(Invalid, match="members"):
        unpacked(empty * 5_000, "gzip", 1_000)
