"""What bad input gets: its place and its rule, and its neighbours unharmed."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.pipeline.builders import NOON, event, limits

from recoup.kit.errors import Invalid, TooLarge
from recoup.services.pipeline.collect.domain.reading import Form, read

BAD = {
    "unknown field": ({"colour": "red"}, "unknown_field", "colour"),
    "wrong type": ({"cart_id": 7}, "wrong_type", "cart_id"),
    "wrong type inside": ({"items": [{"product_id": 5}]}, "wrong_type", "items[0].product_id"),
    "unknown field inside": ({"context": {"shoe": "1"}}, "unknown_field", "context.shoe"),
    "negative amount": ({"amount": -1}, "out_of_range", "amount"),
    "empty id": ({"cart_id": ""}, "out_of_range", "cart_id"),
    "long id": ({"cart_id": "x" * 129}, "out_of_range", "cart_id"),
    "not a uuid": ({"event_id": "17"}, "bad_format", "event_id"),
    "not a time": ({"occurred_at": "yesterday"}, "bad_format", "occurred_at"),
    "a time without a zone": ({"occurred_at": "2026-06-01T12:00:00"}, "bad_format", "occurred_at"),
    "far future": ({"occurred_at": "2026-06-03T12:00:00Z"}, "future_time", "occurred_at"),
    "far past": ({"occurred_at": "2020-06-03T12:00:00Z"}, "too_old", "occurred_at"),
    "unknown type": ({"type": "teleported"}, "unknown_type", "type"),
    "our own type": ({"type": "cart_abandoned"}, "derived_type", "type"),
    "the clock on the wall": ({"type": "clock"}, "wall_clock", "type"),
    "foreign store": ({"store_id": "another"}, "foreign_store", "store_id"),
    "too many items": ({"items": [{"product_id": "a"}] * 501}, "too_many_items", "items"),
    "huge properties": ({"properties": {"a": "x" * 2_000}}, "bad_properties", "properties"),
    "properties that are a list": ({"properties": [1]}, "bad_properties", "properties"),
    "not a currency": ({"currency": "usd"}, "bad_currency", "currency"),
    "nobody's": ({"anonymous_id": None}, "no_visitor", "anonymous_id"),
    "a cart of a script's": ({"cart_id": "undefined"}, "placeholder_id", "cart_id"),
    "a visitor of a template's": ({"anonymous_id": "NULL", "cart_id": "c"}, "placeholder_id", "anonymous_id"),
    "a user of a script's": ({"user_id": "[object Object]"}, "placeholder_id", "user_id"),
    "a session of a script's": ({"session_id": "NaN"}, "placeholder_id", "session_id"),
}


@pytest.mark.parametrize(("change", "code", "field"), BAD.values(), ids=BAD.keys())
def test_a_bad_event_is_named_with_its_place_and_its_neighbours_are_kept(
    change: dict[str, object], code: str, field: str
) -> None:
    body = msgspec.json.encode([event(), event(**change), event()])

    reading = read(body, Form.ARRAY, limits())

    assert list(reading.indexes) == [0, 2]
    (refusal,) = reading.refusals
    assert (refusal.problem.index, refusal.problem.code, refusal.problem.field) == (1, code, field)


@pytest.mark.parametrize("form", [Form.ARRAY, Form.LINES])
@pytest.mark.parametrize("spoiled", [False, True])
def test_a_clock_that_is_years_off_costs_no_event_when_the_client_says_what_it_shows(
    form: Form, *, spoiled: bool
) -> None:
    at_home = NOON - timedelta(days=4_000)
    body = [
        event(occurred_at=(at_home - timedelta(minutes=3)).isoformat(), sent_at=at_home.isoformat()),
        event(occurred_at=(NOON - timedelta(minutes=2)).isoformat(), sent_at=(NOON - timedelta(seconds=4)).isoformat()),
        *([event(colour="red")] if spoiled else []),
    ]
    text = msgspec.json.encode(body) if form is Form.ARRAY else b"\n".join(map(msgspec.json.encode, body))

    reading = read(text, form, limits())

    assert [one.occurred_at for one in reading.events] == [NOON - timedelta(minutes=3), NOON - timedelta(minutes=2)]
    assert list(reading.columns["occurred_at"]) == [one.occurred_at for one in reading.events]


def test_a_time_at_the_end_of_the_calendar_is_refused_and_not_moved_past_it() -> None:
    body = [event(occurred_at="9999-12-31T23:00:00Z", sent_at="2020-01-01T00:00:00Z"), event()]

    reading = read(msgspec.json.encode(body), Form.ARRAY, limits())

    assert [(refusal.problem.index, refusal.problem.code) for refusal in reading.refusals] == [(0, "future_time")]


def test_an_id_given_to_two_different_events_is_refused_the_second_time() -> None:
    first = event()

    reading = read(msgspec.json.encode([first, first, {**first, "cart_id": "other"}]), Form.ARRAY, limits())

    assert list(reading.indexes) == [0, 1]
    assert [refusal.problem.code for refusal in reading.refusals] == ["conflicting_id"]


def test_lines_are_read_one_by_one_when_one_of_them_is_not_json() -> None:
    body = b"\n".join([msgspec.json.encode(event()), b"{oops", b"", msgspec.json.encode(event())])

    reading = read(body, Form.LINES, limits())

    assert list(reading.indexes) == [0, 2]
    assert [refusal.problem.code for refusal in reading.refusals] == ["malformed_json"]


@pytest.mark.parametrize(
    ("body", "code"), [(b"{", "malformed_json"), (b"{}", "not_an_array"), (b'"\xff"', "malformed_json")]
)
def test_a_body_that_is_no_array_is_refused_as_a_whole(body: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        read(body, Form.ARRAY, limits())

    assert caught.value.reason == code


def test_too_many_events_are_refused_with_the_limit() -> None:
    with pytest.raises(TooLarge, match="at most 2"):
        read(msgspec.json.encode([event() for _ in range(3)]), Form.ARRAY, limits(events=2))


def test_on_an_event_clock_no_event_is_too_old() -> None:
    body = msgspec.json.encode([event(occurred_at="1999-01-01T00:00:00Z")])

    assert not read(body, Form.ARRAY, limits(oldest=None)).refusals


@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_reading_fail_in_another_way(body: bytes) -> None:
    for form in Form:
        try:
            reading = read(body, form, limits())
        except Invalid:
            continue
        assert len(reading.events) == len(reading.indexes)


@given(st.lists(st.sampled_from(["good", "bad"]), max_size=20))
def test_every_event_gets_exactly_one_verdict(kinds: list[str]) -> None:
    events = [event() if kind == "good" else event(cart_id=1) for kind in kinds]

    reading = read(msgspec.json.encode(events), Form.ARRAY, limits(newest=NOON))

    refused = [refusal.problem.index for refusal in reading.refusals]
    assert sorted([*reading.indexes, *(index for index in refused if index is not None)]) == list(range(len(events)))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"cart_id": "a\0b"}, "cart_id"),
        ({"items": [{"product_id": "mug"}, {"product_id": "m\0"}]}, "items.1.product_id"),
        ({"context": {"page_url": "\0"}}, "context.page_url"),
        ({"properties": {"deep": ["x", {"na\0me": 1}]}}, "properties.deep.1.name"),
    ],
)
def test_a_nul_in_any_text_is_refused_where_it_stands(fields: dict[str, object], place: str) -> None:
    reading = read(msgspec.json.encode([event(**fields), event()]), Form.ARRAY, limits())
    assert [(refusal.problem.code, refusal.problem.field) for refusal in reading.refusals] == [("bad_text", place)]
    assert len(reading.events) == 1


def test_an_escaped_backslash_before_digits_is_no_nul() -> None:
    reading = read(msgspec.json.encode([event(cart_id=r"a\u0000")]), Form.ARRAY, limits())
    assert not reading.refusals


@pytest.mark.parametrize("form", [Form.ONE, Form.ARRAY])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"properties":' * 100_000, b"[" * 9_999 + b"]" * 9_999])
def test_brackets_without_end_are_the_callers_mistake(body: bytes, form: Form) -> None:
    with pytest.raises(Invalid) as refused:
        read(body, form, limits())
    assert refused.value.reason == "malformed_json"


UNREADABLE: dict[str, bytes] = {
    "half an emoji": rb'{"type": "page_viewed", "anonymous_id": "\ud83d"}',
    "NaN": b'{"type": "page_viewed", "amount": NaN, "items": [{"product_id": "a, [b"}]}',
    "another encoding": '{"type": "Müll"}'.encode("latin-1"),
    "no value": b'{"type": }',
    "a control character": b'{"type": "a\nb"}',
}


@pytest.mark.parametrize("unreadable", UNREADABLE.values(), ids=UNREADABLE)
def test_an_event_of_an_array_that_no_decoder_reads_costs_its_neighbours_nothing(unreadable: bytes) -> None:
    good = [msgspec.json.encode(event(properties={"said": '\\"[{,'})) for _ in range(2)]

    reading = read(b" [%b,\n%b , %b]\r\n" % (good[0], unreadable, good[1]), Form.ARRAY, limits())

    assert list(reading.indexes) == [0, 2]
    (refusal,) = reading.refusals
    assert (refusal.problem.index, refusal.body.strip()) == (1, unreadable)


@pytest.mark.parametrize("end", [b"", b"]", b'"', b"}", b",]", b", ,%b]"])
def test_an_array_whose_ends_cannot_be_told_is_refused_as_a_whole(end: bytes) -> None:
    body = b"[%b, {NaN}" % msgspec.json.encode(event())
    with pytest.raises(Invalid) as refused:
        read(body + end if end != b"]" else body[:-1] + end, Form.ARRAY, limits())
    assert refused.value.reason == "malformed_json"
