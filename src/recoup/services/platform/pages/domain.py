"""What goes with a file: its type, its tag, and what a browser may do with it."""

from hashlib import sha256
from typing import Final

SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}
FOR_ANYBODY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""For the script that other sites include."""

TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "ico": "image/x-icon",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "mjs": "text/javascript",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff2": "font/woff2",
}
"""Files of other kinds are not served. The charset of text is added on sending."""


def content_type(name: str) -> str | None:
    """By the file's ending; None for a kind we don't serve."""
    return TYPES.get(name.rpartition(".")[2].lower())


def tag(content: bytes) -> str:
    """The ETag's value: the same for the same bytes."""
    return sha256(content).hexdigest()[:20]


def matches(if_none_match: str | None, tag_: str) -> bool:
    """Whether the browser has these bytes already."""
    tags = [part.strip().removeprefix("W/").strip('"') for part in (if_none_match or "").split(",")]
    return tag_ in tags or tags == ["*"]
