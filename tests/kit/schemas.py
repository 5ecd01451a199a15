"""By which rules two schemas do not go together, for the tests that ask."""

from recoup.kit.schemas import formats
from recoup.kit.schemas.source import Format, Source


def rules(format_: Format, writer: str, reader: str) -> list[str]:
    """The rules by which a reader cannot read what was written."""
    read = [formats.read(Source(format=format_, text=text)) for text in (reader, writer)]
    return [found.rule for found in formats.differences(*read)]


# Each row: what was written under, what is read with, and by which rules that does not go (none: it does).
