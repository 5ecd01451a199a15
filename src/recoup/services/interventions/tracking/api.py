"""The public ends of our links, and the page's own reports. A link that isn't ours leads nowhere."""

from typing import Literal
from uuid import UUID

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect
from markupsafe import escape
from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.http import PUBLIC
from recoup.messages.access import Permission
from recoup.services.interventions.tracking.actions import Tracking
from recoup.services.interventions.tracking.domain import Link

_PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_NEVER_KEPT = {"Cache-Control": "no-store, max-age=0", "Referrer-Policy": "no-referrer"}
Asking = Request[object, object, State]


class Reported(Struct, frozen=True, forbid_unknown_fields=True):
    """What the page saw happen to a message."""

    kind: Literal["seen", "clicked", "dismissed"]


def _agent(request: Asking) -> str:
    return request.headers.get("user-agent", "")


def _link(tracking: Tracking, token: str, kind: str) -> Link:
    link = tracking.opened(token)
    if link is None or link.kind != kind:
        raise Missing("this link is not one of ours")
    return link


@get("/track/click/{token:str}", opt={"permission": PUBLIC})
async def follow_click(token: FromPath[str], tracking: NamedDependency[Tracking], request: Asking) -> Redirect:
    """Notes a click and leads on to where the signed link says, and nowhere else."""
    link = _link(tracking, token, "clicked")
    await tracking.follow(link, "clicked", link.target, _agent(request))
    return Redirect(link.target, status_code=302, headers=_NEVER_KEPT)


@get("/track/open/{name:str}", opt={"permission": PUBLIC}, media_type="image/gif")
async def follow_open(name: FromPath[str], tracking: NamedDependency[Tracking], request: Asking) -> Response[bytes]:
    """Notes an opened e-mail and answers with one transparent pixel; `name` is the signed token and `.gif`."""
    link = _link(tracking, name.removesuffix(".gif"), "opened")
    await tracking.follow(link, "opened", "", _agent(request))
    return Response(_PIXEL, media_type="image/gif", headers=_NEVER_KEPT)


@post("/track/{intervention_id:uuid}", opt={"permission": Permission.INTERVENTIONS_RECEIVE}, status_code=204)
async def report(
    store_id: NamedDependency[str],
    intervention_id: FromPath[UUID],
    data: JSONBody[Reported],
    tracking: NamedDependency[Tracking],
    request: Asking,
) -> None:
    """The page says that a message was seen, clicked or dismissed."""
    intervention = await tracking.interventions.intervention(store_id, intervention_id)
    await tracking.touch(store_id, intervention, data.kind, "", _agent(request))


@get("/unsubscribe/{token:str}", opt={"permission": PUBLIC}, media_type=MediaType.HTML)
async def ask_unsubscribe(token: FromPath[str], tracking: NamedDependency[Tracking], request: Asking) -> Response[str]:
    """A page with one button: only pressing it unsubscribes, since mail scanners follow every link."""
    link = _link(tracking, token, "unsubscribed")
    await tracking.follow(link, "visited", "unsubscribe", _agent(request))
    shop = (await tracking.stores.settings(link.store_id)).name
    words = (
        "<h1>No more reminders?</h1>"
        f"<p>{escape(link.address)} will get no more messages like this from {escape(shop)}.</p>"
        '<form method="post"><button>Unsubscribe</button></form>'
    )
    return _page("Unsubscribe", words)


@post("/unsubscribe/{token:str}", opt={"permission": PUBLIC}, status_code=200, media_type=MediaType.HTML)
async def unsubscribe(token: FromPath[str], tracking: NamedDependency[Tracking], request: Asking) -> Response[str]:
    """Unsubscribes, by the page's button or a mail program's one click (RFC 8058); again is as good as once."""
    link = _link(tracking, token, "unsubscribed")
    await tracking.unsubscribe(link, _agent(request))
    return _page("Unsubscribed", f"<h1>Done.</h1><p>{escape(link.address)} will get no more of these messages.</p>")


def _page(title: str, words: str) -> Response[str]:
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>"
        "body{font:17px/1.6 system-ui,sans-serif;background:#f3f1ec;color:#1f2a2e;"
        "display:grid;place-items:center;min-height:90vh;margin:0;padding:1.5rem}main{background:#fff;padding:2.5rem;"
        "border-radius:14px;max-width:26rem}h1{margin:0 0 .5rem;font-size:1.5rem}button{font:inherit;font-weight:600;"
        "color:#fff;background:#14594a;border:0;border-radius:10px;padding:.8rem 1.6rem;cursor:pointer}"
        "@media(prefers-color-scheme:dark){body{background:#14191b;color:#eef1ef}main{background:#1f2628}}</style>"
        f"<main>{words}</main></html>"
    )
    return Response(html, media_type=MediaType.HTML, headers=_NEVER_KEPT)


def router(tracking: Tracking) -> Router:
    """All routes of this feature."""
    return Router(
        "/",
        route_handlers=[follow_click, follow_open, report, ask_unsubscribe, unsubscribe],
        dependencies={"tracking": Provide(lambda: tracking, sync_to_thread=False)},
        tags=["tracking"],
    )
