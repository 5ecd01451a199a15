"""Versions as ETags: what was read, and on top of what a change may be made."""

from recoup.kit.errors import Invalid


def headers(version: int) -> dict[str, str]:
    """Those of an answer that shows a version, which has to be asked for again each time."""
    return {"ETag": f'"{version}"', "Cache-Control": "no-cache"}


def expected(if_match: str | None) -> int | None:
    """The version an `If-Match` header names; None for no header or `*`. Raises Invalid for what is none of ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    tag = if_match.strip().removeprefix("W/").strip('"')
    if not tag.isascii() or not tag.isdigit() or len(tag) > 9:  # noqa: PLR2004 - more never fits a version
        raise Invalid(f"If-Match {if_match!r} is not an ETag of this")
    return int(tag)
