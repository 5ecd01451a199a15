"""Other people's JSON, read without trust: digits stay, nothing raises."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit import loose
from recoup.kit.errors import Invalid

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_digits_stay_as_they_were_written() -> None:
    assert loose.decode(b'{"price": 0.1, "id": 704912205188288575}') == {
        "price": Decimal("0.1"), "id": 704_912_205_188_288_575
    }  # fmt: skip
    assert loose.encode(loose.decode(b'{"a":18.990,"b":[1]}')) == b'{"a":18.990,"b":[1]}'


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff{", b"[" * 100_000, b'"\\u', b'{"a": Nan}', b"1e99999999999999999999"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        loose.decode(body)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"name": "Mug \ud83d"}', {"name": "Mug \N{REPLACEMENT CHARACTER}"}),
        (rb'["\udc00\ud83d\ude00", "\\ud83d"]', ["\N{REPLACEMENT CHARACTER}\N{GRINNING FACE}", r"\ud83d"]),
        (b'{"name": "Caf\xe9", "price": 1.50}', {"name": "Caf\N{REPLACEMENT CHARACTER}", "price": Decimal("1.50")}),
        (b'{"a": NaN, "b": [-Infinity, "NaN"], "c": Infinity}', {"a": None, "b": [None, "NaN"], "c": None}),
    ],
)
def test_a_character_or_number_that_is_none_costs_nothing_else(body: bytes, read: object) -> None:
    assert loose.decode(body) == read


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("19.99", "USD", 1_999), (Decimal("0.29"), "EUR", 29), (5, "USD", 500), (" 7 ", "JPY", 7),
        ("1.2345", "KWD", 1_235), ("-3.00", "USD", -300), ("1,50", "EUR", None), ("$5", "USD", None),
        (None, "USD", None),
        (Decimal("1e400"), "USD", None), ("9" * 40, "USD", None), ([1], "USD", None), ("NaN", "USD", None),
    ],
)  # fmt: skip
def test_money_is_read_where_nothing_has_to_be_guessed(value: object, currency: str, minor: int | None) -> None:
    assert loose.money(value, currency) == minor


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-06-01T12:00:00Z", NOON), ("2026-06-01T14:00:00+02:00", NOON), ("2026-06-01 12:00:00", NOON),
        (1_780_315_200, NOON), (1_780_315_200_000, NOON), ("1780315200", NOON), (Decimal("1780315200.0"), NOON),
        ("soon", None), ("", None), (0, None), (-5, None), (10**17, None), (None, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)  # fmt: skip
def test_times_are_read_by_text_or_by_seconds(value: object, moment: datetime | None) -> None:
    assert loose.moment(value) == moment


@pytest.mark.parametrize(("value", "flag"), [(True, True), ("yes", True), (0, False), ("maybe", None), (2, None)])
def test_flags_are_words_or_numbers(value: object, flag: bool | None) -> None:
    assert loose.flag(value) is flag


@given(value=ANY)
def test_no_reader_ever_raises(value: object) -> None:
    for read in (loose.table, loose.tables, loose.text, loose.number, loose.flag, loose.moment):
        read(value)
    loose.money(value, "USD")
