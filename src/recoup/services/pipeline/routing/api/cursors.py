"""Cursors that are numbers of ours."""

from recoup.kit.errors import Invalid


def number(cursor: int | None) -> int | None:
    """The number a cursor names; raises Invalid for what no column could hold."""
    if cursor is not None and not 0 <= cursor < 2**31:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid")
    return cursor
