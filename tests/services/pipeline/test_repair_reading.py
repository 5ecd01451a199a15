"""Whatever stands in a dead letter, reading it comes to an end."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recoup.services.pipeline.deadletters.domain.repair.notation import Loose
from recoup.services.pipeline.deadletters.domain.repair.reading import readings

PIECES = [
    *"{}[]():=,;\"'`\\ a1-#\n", "/*", "//", "new ", "array(", "UUID(", "null", '{"a":', "[[[[[[[[", "((((((((",
    "{a:{a:{a:{a:", "&quot;", "%7B", "\u201c", "\\u", "\0",
]  # fmt: skip


@pytest.mark.timeout(120)
@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join))
@example("[" * 60)
@example("(" * 60 + ")" * 60)
@example('{"a":' * 60)
@example('{"a": [' * 30 + "1")
def test_any_text_is_read_to_its_end(text: str) -> None:
    Loose(text).read()
    for reading in readings(text.encode()):
        assert 0 < reading.sureness <= 1
