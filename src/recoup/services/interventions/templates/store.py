"""Reads the built-in templates from the package's own files."""

from importlib.resources import files

from recoup.services.interventions.templates.domain import Templates


def builtin() -> Templates:
    """The templates that came with this version."""
    folder = files("recoup.services.interventions.templates") / "builtin"
    return Templates({entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.is_file()})
