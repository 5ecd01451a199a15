"""Draws the table of permissions, and which route asks for which, into docs/guides/permissions.md. Runs nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

from litestar.handlers import BaseRouteHandler

from recoup.app import Settings, application, build, dependencies
from recoup.kit.config import new_secret
from recoup.kit.http import PUBLIC
from recoup.messages.access import TABLE, Permission, Role
from recoup.processes import PROCESSES

NOTICE: Final = "<!-- drawn by `recoup permissions`; do not edit -->"
ROUTES: Final = "## What each route asks for"


class Asks(NamedTuple):
    """A route of the public API and the permission it declares."""

    path: str
    method: str
    permission: str


def page() -> str:
    """The whole page."""
    return "\n".join([
        "# Permissions", "", NOTICE, "",
        "What a person may do in a store follows from their role there; what an API key may do, from its scopes, which",
        "are permissions too and never more than its kind allows. See [users, keys, roles](users-keys-roles.md).",
        "", *_table(), "", ROUTES, "",
        "Routes that ask for nothing are left out: sign-in, links in mails, webhooks that are signed, health.",
        "", *_routes(), "",
    ])  # fmt: skip


def draw(file: Path) -> None:
    """Writes the page anew."""
    file.write_text(page())


def _table() -> Iterator[str]:
    heads = [*(role.value for role in Role), "secret key", "publishable key"]
    yield f"| permission | what it opens | {' | '.join(heads)} |"
    yield "|---|---|" + ":-:|" * len(heads)
    for permission, granted in TABLE.items():
        if permission is Permission.INTERNAL:
            continue
        marks = [*(role in granted.people for role in Role), granted.secret_key, granted.publishable_key]
        cells = " | ".join("●" if mark else "" for mark in marks)
        yield f"| `{permission.value}` | {granted.meaning} | {cells} |"


def _routes() -> Iterator[str]:
    yield "| route | permission |"
    yield "|---|---|"
    for path, method, permission in sorted(set(_asking())):
        yield f"| {method} `/api{path}` | `{permission}` |"


def _asking() -> Iterator[Asks]:
    settings = Settings(
        internal_key=new_secret(),
        postgres_url="postgresql://nowhere/none",
        valkey_url="redis://127.0.0.1:1/0",
        warehouse_url="http://127.0.0.1:1/none",
    )
    for name in PROCESSES:
        deps = dependencies(name, settings)
        for route in application(build(name, settings, deps), settings, deps).routes:
            several = cast("list[BaseRouteHandler] | None", getattr(route, "route_handlers", None))
            for handler in several or [cast("BaseRouteHandler", getattr(route, "route_handler", None))]:
                permission = handler.opt.get("permission")
                if permission in {None, PUBLIC, Permission.INTERNAL}:
                    continue
                methods = cast("set[str]", getattr(handler, "http_methods", {"WebSocket"}))
                path = re.sub(r":\w+}", "}", route.path)
                yield from (Asks(path, method, Permission(permission).value) for method in methods)
