"""Bodies that cannot be read at all become dead letters: one a request, with the very bytes, and not without end."""

import gzip
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import binary, text
from tests.services.pipeline.builders import NOON, SHOP, event
from tests.services.pipeline.test_collect_socket import Door, serving
from tests.services.pipeline.workbench import bench

from recoup.kit.errors import Invalid
from recoup.kit.log import arrow
from recoup.kit.peers import IDENTITY_HEADER
from recoup.messages.events import DEAD
from recoup.messages.topics import EVENTS_DEAD
from recoup.services.pipeline.collect.domain.origin import PAGE
from recoup.services.pipeline.collect.domain.reading import Form
from recoup.services.pipeline.collect.domain.unreadable import as_it_came, as_text, unread
from recoup.services.pipeline.deadletters.domain.letters import Kind, Status

JSON = {"Content-Type": "application/json"}
BROKEN = {
    "cut off": (b'[{"event_id": "1", "type": "page_vie', JSON, 400, "malformed_json"),
    "no list": (b'{"events": []}', JSON, 400, "not_an_array"),
    "no gzip": (b"\xff\x00 plain", JSON | {"Content-Encoding": "gzip"}, 400, "bad_encoding"),
    "half a gzip": (gzip.compress(b"[]" * 99)[:20], JSON | {"Content-Encoding": "gzip"}, 400, "bad_encoding"),
    "another compression": (b"[]", JSON | {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    "a form": (b"event=page_viewed", {"Content-Type": "application/x-www-form-urlencoded"}, 415,
               "unsupported_media_type"),
    "no Protobuf": (b"\x0a\xff\xff", {"Content-Type": "application/x-protobuf"}, 400, "malformed_protobuf"),
}  # fmt: skip


async def posted(door: Door, body: bytes, headers: dict[str, str]) -> int:
    url = door.url.replace("/stream", "/batch")
    async with door.http.post(url, data=body, headers={IDENTITY_HEADER: "key", **headers}) as answer:
        return answer.status


async def letters(door: Door) -> list[dict[str, object]]:
    """Everything on the dead letter topic that was not read before."""
    reader = door.log.reader("test", "test", [EVENTS_DEAD.name])
    records = await reader.read(wait_seconds=0.1, limit=1_000)
    await reader.commit({(record.topic, record.partition): record.offset for record in records})
    await reader.close()
    return arrow.joined([record.value for record in records], DEAD)[0].to_pylist()


@pytest.mark.parametrize(("body", "headers", "status", "code"), BROKEN.values(), ids=BROKEN)
async def test_a_body_that_cannot_be_read_is_refused_and_kept_with_its_bytes(
    body: bytes, headers: dict[str, str], status: int, code: str, valkey_url: str
) -> None:
    async with serving(valkey_url) as door:
        assert await posted(door, body, headers) == status

        (letter,) = await letters(door)

    assert (letter["kind"], letter["stage"], letter["store_id"], letter["proven"]) == (code, "collect", SHOP, False)
    assert as_it_came(str(letter["body"])) == body
    assert letter["reason"]


async def test_an_event_in_another_encoding_costs_its_neighbours_nothing_and_keeps_its_bytes(valkey_url: str) -> None:
    other = '{"type": "Müll"}'.encode("latin-1")
    async with serving(valkey_url) as door:
        assert await posted(door, b"[%b, %b]" % (msgspec.json.encode(event()), other), JSON) == 202

        (letter,) = await letters(door)

    assert (letter["kind"], as_it_came(str(letter["body"]))) == ("malformed_json", other)


async def test_a_frame_that_cannot_be_read_is_kept_as_well(valkey_url: str) -> None:
    async with serving(valkey_url) as door:
        async with door.client() as ws:
            await ws.send_str('{"id": "7", "events": [{')
            answer = msgspec.json.decode((await ws.receive()).data)

        (letter,) = await letters(door)

    assert (answer["id"], answer["problem"]["code"]) == ("7", "malformed_frame")
    assert (letter["kind"], letter["body"]) == ("malformed_frame", '{"id": "7", "events": [{')


async def test_too_much_at_once_is_no_dead_letter(valkey_url: str) -> None:
    async with serving(valkey_url, batch_bytes=100) as door:
        assert await posted(door, b" " * 101, JSON) == 413

        assert await letters(door) == []


async def test_so_many_are_kept_a_minute_and_so_much_of_each(valkey_url: str) -> None:
    async with serving(valkey_url, unreadable_per_minute=2, unreadable_bytes=8) as door:
        for number in range(5):
            assert await posted(door, b"{%d" % number + b"x" * 20, JSON) == 400

        found = await letters(door)

        assert (await door.collector.stats.read(SHOP)).refused == {"malformed_json": 5}
    assert [letter["body"] for letter in found] == ["{0xxxxxx", "{1xxxxxx"]
    assert "8 of 22 bytes" in str(found[0]["reason"])


@given(body=binary() | text().map(str.encode))
def test_whatever_came_is_given_back_byte_for_byte(body: bytes) -> None:
    assert as_it_came(as_text(unread(Invalid("no"), body, len(body)).body)) == body


@pytest.mark.parametrize(
    "damaged",
    [lambda body: body[:-1], lambda body: body.decode().encode("latin-1"), lambda body: body.decode().encode("utf-16")],
    ids=["cut off", "Latin-1", "UTF-16"],
)
async def test_the_repairer_mends_what_can_be_told_and_sends_it(
    damaged: Callable[[bytes], bytes], valkey_url: str, database: str
) -> None:
    whole = msgspec.json.encode(event(anonymous_id="Müller"))
    async with bench(valkey_url, database) as desk:
        with pytest.raises(Invalid):
            await desk.running.collector.accept(SHOP, damaged(whole), Form.ONE, PAGE)
        (letter,) = await desk.arrive(1)

        await desk.mender.mend(letter)

        mended = await desk.again(letter.id)
        assert (letter.kind, letter.body) == (Kind.UNREADABLE, damaged(whole))
        assert mended.status is Status.REPAIRED, mended.proposals
        (row,) = await desk.running.enriched(1)
        assert (row["anonymous_id"], row["occurred_at"]) == ("Müller", NOON)
