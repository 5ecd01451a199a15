"""How a visit came about: the source as the campaign or the referrer names it, and the medium in one of a few words.

What a page's address says counts like what the event says: click ids (somebody paid for the click) and `utm_*`. A
referrer on the page's own host is a step within the shop and says nothing of how the visit began.
"""

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qs

Medium = Literal["search", "social", "email", "paid", "referral", "direct", "other"]

_MOST_KNOWN: Final = 20_000
_LONGEST_PATH: Final = 256
_PAID_CLICK: Final = re.compile(
    r"[?&](gclid|gbraid|wbraid|dclid|fbclid|msclkid|ttclid|twclid|li_fat_id|epik|rdt_cid|sccid|yclid)=[^&]"
)
_SEARCH: Final = re.compile(
    r"(^|\.)(google|bing|duckduckgo|yahoo|ecosia|baidu|yandex|qwant|startpage|naver|seznam|brave|kagi)\.[a-z.]{2,6}$"
)
_SOCIAL: Final = re.compile(
    r"(^|\.)(facebook|instagram|tiktok|pinterest|twitter|x|reddit|youtube|linkedin|threads|snapchat|vk|tumblr|bsky"
    r"|whatsapp)\.[a-z.]{2,6}$|^(t\.co|lnkd\.in|fb\.me|youtu\.be|pin\.it|t\.me)$"
)
_MAIL: Final = re.compile(r"^(e?mail|outlook|webmail)\.|(^|\.)(gmx|proton(mail)?|posteo|fastmail|zoho)\.[a-z.]{2,6}$")
_MAIL_APP: Final = re.compile(r"^android-app://com\.(google\.android\.gm|microsoft\.office\.outlook)")
_MEDIA: Final[tuple[tuple[re.Pattern[str], Medium], ...]] = (
    (re.compile(r"^(cp[acmv]|ppc|ads?|paid.*|.*[_ -]paid|display|banner|retargeting|remarketing|shopping)$"), "paid"),
    (re.compile(r"^(e-?mail|mail|newsletter)$"), "email"),
    (re.compile(r"^(social.*|sm|organic[_ -]social)$"), "social"),
    (re.compile(r"^(organic|search|seo)$"), "search"),
    (re.compile(r"^(referral|affiliates?|partner|link)$"), "referral"),
    (re.compile(r"^(direct|\(none\)|none)$"), "direct"),
)
_SOURCES: Final[dict[str, Medium]] = {
    **dict.fromkeys(("google", "bing", "duckduckgo", "yahoo", "baidu", "yandex", "ecosia"), "search"),
    **dict.fromkeys(("facebook", "instagram", "tiktok", "twitter", "x", "pinterest", "youtube", "reddit"), "social"),
    **dict.fromkeys(("newsletter", "email", "mail", "e-mail", "klaviyo", "mailchimp", "recoup"), "email"),
    **dict.fromkeys(("adwords", "google_ads", "googleads", "criteo"), "paid"),
}


class Page(NamedTuple):
    """What the address of a page says."""

    host: str
    source: str | None = None
    medium: Medium | None = None
    paid: bool = False


class Referrer(NamedTuple):
    """What the address of the page before says."""

    host: str
    medium: Medium


@lru_cache(maxsize=_MOST_KNOWN)
def page(url: str) -> Page:
    """Reads the address of a page; whatever it is, it is no error."""
    paid = _PAID_CLICK.search(url) is not None
    if "utm_" not in url:
        return Page(host(url), paid=paid)
    asked = parse_qs(url.partition("?")[2].partition("#")[0])
    source = next(iter(asked.get("utm_source", ())), None)
    named = next(iter(asked.get("utm_medium", ())), None)
    return Page(host(url), source, medium_of(named) if named else None, paid)


@lru_cache(maxsize=_MOST_KNOWN)
def referrer(url: str) -> Referrer:
    """Reads the address of the page before."""
    name = host(url)
    if _MAIL.search(name) or _MAIL_APP.search(url):
        return Referrer(name, "email")
    if _SEARCH.search(name):
        return Referrer(name, "search")
    return Referrer(name, "social" if _SOCIAL.search(name) else "referral")


def medium_of(utm_medium: str) -> Medium:
    """A campaign's own word for its medium, as one of ours."""
    word = utm_medium.strip().lower()
    for pattern, medium in _MEDIA:
        if pattern.search(word):
            return medium
    return "other"


def medium_by_source(utm_source: str) -> Medium:
    """The medium of a campaign that names its source alone."""
    return _SOURCES.get(utm_source.strip().lower(), "other")


def path(url: str | None) -> str | None:
    """Which page of its site an address is, without what follows `?` or `#`; null for what is no address."""
    _, scheme, rest = (url or "").partition("//")
    if not scheme:
        return None
    inside = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")[2]
    return f"/{inside}"[:_LONGEST_PATH]


def host(url: str) -> str:
    """The host of an address, without port and `www.`."""
    _, scheme, rest = url.partition("//")
    name = re.split(r"[/?#]", rest, maxsplit=1)[0] if scheme else ""
    return name.rpartition("@")[2].partition(":")[0].lower().removeprefix("www.")
