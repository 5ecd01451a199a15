"""How alike two names are: by their words, by what people in the trade call the same thing, by their letters.

The words are a thesaurus of the trade, not a list of damages: it knows that a basket is a cart, in whatever name.
"""

import re
import unicodedata
from collections.abc import Mapping
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Final, Literal

from recoup.services.pipeline.deadletters.domain.repair.languages import FIELDS, TYPES

Level = Literal["event", "item", "context"]

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_THESAURUS: Final[Mapping[str, str]] = {
    word: meaning
    for meaning, words in {
        "cart": "basket bag trolley",
        "user": "customer client shopper member account buyer profile cust usr",
        "anonymous": "visitor guest cookie anon anonym device browser",
        "session": "visit sess sid",
        "quantity": "qty quant count pieces units pcs",
        "product": "sku article prod goods",
        "time": "ts timestamp date datetime at when moment on",
        "occurred": "happened created original",
        "event": "evt",
        "sent": "dispatched emitted transmitted",
        "type": "kind action",
        "currency": "cur ccy curr iso",
        "coupon": "voucher promo promotion promocode",
        "discount": "rebate reduction savings",
        "order": "purchase transaction txn checkout",
        "id": "identifier key no nr num number ref guid uuid code handle",
        "items": "lines products contents positions entries lineitems item line articles",
        "locale": "lang language culture",
        "timezone": "tz zone",
        "agent": "ua browser",
        "url": "uri href link location address",
        "referrer": "referer origin",
        "variant": "variation option version",
        "name": "title label description caption",
        "category": "cat department collection group taxonomy",
        "brand": "make manufacturer vendor maker label",
        "price": "cost unitprice rate",
        "amount": "total value revenue sum subtotal grand",
        "schema": "spec format",
        "page": "site current",
        "ip": "ipaddress remote",
    }.items()
    for word in f"{words} {FIELDS.get(meaning, '')}".split()
}
_TARGETS: Final[Mapping[Level, Mapping[str, str]]] = {
    "event": {
        "event_id": "event id|message id|insert id|uuid|id",
        "type": "type|event type|event name|event|name",
        "occurred_at": "occurred time|time|event time|original time|client time|occurred",
        "sent_at": "sent time|send time|sent",
        "schema_version": "schema version|version|schema",
        "store_id": "store id|shop id|tenant id|merchant id|store|shop",
        "cart_id": "cart id|cart token|cart",
        "user_id": "user id|user",
        "anonymous_id": "anonymous id|anonymous|client id",
        "session_id": "session id|session",
        "items": "items|cart items|order items",
        "amount": "amount|order amount|cart amount|price",
        "currency": "currency|currency id",
        "order_id": "order id|order",
        "coupon": "coupon|coupon id|discount id",
        "discount": "discount|discount amount",
    },
    "context": {
        "page_url": "page url|url|page",
        "referrer": "referrer|referrer url",
        "user_agent": "user agent|agent",
        "ip": "ip|ip url|client ip",
        "locale": "locale",
        "timezone": "timezone|time timezone",
        "device_type": "anonymous type|anonymous|device class|platform",
        "utm_source": "utm source|campaign source",
        "utm_medium": "utm medium|campaign medium",
        "utm_campaign": "utm campaign|campaign name|campaign",
        "utm_term": "utm term|campaign term",
        "utm_content": "utm content|campaign content",
        "fingerprint": "fingerprint|anonymous fingerprint|visitor hash",
    },
    "item": {
        "product_id": "product id|product|items id|id",
        "quantity": "quantity|items quantity|amount",
        "price": "price|product price|items price|price amount|amount",
        "variant_id": "variant id|variant",
        "name": "name|product name|items name",
        "category": "category|product category|items category|product type",
        "brand": "brand|product brand|items brand",
    },
}
SLIP: Final = 0.975
"""How surely a name is meant that differs by one letter: more than any synonym."""
_LONG_NAME: Final = 6
_FOREIGN: Final = frozenset(word for words in FIELDS.values() for word in words.split())
_COMPOUND: Final = 9
_PART: Final = 4
"""So long a word put together of two is at least, and each of them."""
_WEIGHTS: Final = {"id": 0.5, "time": 0.8}
_CLOCK: Final = frozenset({
    "micros", "microseconds", "millis", "milliseconds", "ms", "us", "nanos", "nanoseconds", "ns", "seconds", "secs",
    "sec", "epoch", "unix", "utc", "gmt", "iso", "local",
})  # fmt: skip
"""How a time is written, which its value says as well."""
_COUNTED: Final = frozenset({"micros", "nanos", "cents", "cent", "minor", "major"})
"""How an amount is counted; whoever takes one under such a name counts it so."""
_NOISE: Final = frozenset({"the", "of", "my", "x", "data", "value", "field", "shopify", "context", "properties", "ctx"})


def _meaning(word: str, thesaurus: Mapping[str, str]) -> str:
    """What a word, or the one it is the plural of, means in the trade."""
    known = thesaurus.get(word)
    return known if known is not None else thesaurus.get(word.removesuffix("s"), word)


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """The words of a name, each by its meaning in the trade."""
    found: list[str] = [word.lower() for word in _WORDS.findall(unaccented(name))]
    return tuple(_meaning(part, _THESAURUS) for word in found for part in _parts(word))


def _parts(word: str) -> tuple[str, ...]:
    """The two words of the trade that a word is put together of, as in German: `kundennummer`; else itself."""
    if len(word) >= _COMPOUND and _meaning(word, _THESAURUS) == word:
        for at in range(_PART, len(word) - _PART + 1):
            if word[:at] in _FOREIGN and word[at:] in _FOREIGN:
                return word[:at], word[at:]
    return (word,)


@lru_cache(maxsize=4096)
def squashed(name: str) -> str:
    """A name without its spelling."""
    return re.sub(r"[\W_]+", "", unaccented(name)).lower()


def unaccented(text: str) -> str:
    """A text in plain letters."""
    return (
        text
        if text.isascii()
        else unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    )


@lru_cache(maxsize=16384)
def likeness(name: str, target: str, level: Level) -> float:
    """From 0 to 1: how surely a name means this field."""
    plain = squashed(name)
    if plain == squashed(target):
        return 1.0
    if len(plain) >= _LONG_NAME and one_slip(plain, squashed(target)):
        return SLIP
    own = frozenset(words(name)) - (_NOISE if len(words(name)) > 1 else frozenset())
    if target in {"occurred_at", "sent_at"}:
        own -= _CLOCK
    if target in {"amount", "price", "discount"}:
        own -= _COUNTED
    best = 0.0
    for place, phrase in enumerate(_TARGETS[level][target].split("|")):
        meant = frozenset(words(phrase))
        shared = sum(_WEIGHTS.get(word, 1.0) for word in own & meant)
        whole = sum(_WEIGHTS.get(word, 1.0) for word in own | meant)
        best = max(best, (0.95 - 0.04 * place) * shared / whole if whole else 0.0)
    return max(best, 0.9 * _letters(plain, squashed(target)))


def _letters(left: str, right: str) -> float:
    """How alike two spellings are: typing errors count little, letters left out in order count some."""
    if not left or not right:
        return 0.0
    ratio = SequenceMatcher(None, left, right).ratio()
    if len(left) >= 3 and len(left) < len(right) and left[0] == right[0] and _is_inside(left, right):  # noqa: PLR2004
        ratio = max(ratio, 0.78)
    return ratio if ratio >= 0.6 else 0.5 * ratio  # noqa: PLR2004 - below that it is chance


def _is_inside(short: str, long: str) -> bool:
    rest = iter(long)
    return all(letter in rest for letter in short)


def targets(level: Level) -> tuple[str, ...]:
    """The fields of a level."""
    return tuple(_TARGETS[level])


_TYPE_MEANINGS: Final = {
    meaning: frozenset({meaning, *many.split(), *TYPES.get(meaning, "").split()})
    for meaning, many in {
        "add": "added adding adds adder put",
        "remove": "removed removing deleted delete drop dropped",
        "view": "viewed views viewing seen visit visited see look impression show opened open load loaded",
        "start": "started starts begin began begun initiate initiated initiate",
        "complete": "completed completes finish finished done placed place made success paid created submitted",
        "update": "updated updates changed change modified edited",
        "cancel": "cancelled canceled cancels void voided aborted",
        "refund": "refunded refunds returned",
        "enter": "entered enters added given typed submitted",
        "apply": "applied applies redeemed used accepted",
        "deny": "denied rejected refused invalid declined",
        "fail": "failed fails failure declined error",
        "identify": "identified login signup registered signed identifies",
        "search": "searched searches query find",
        "order": "purchase transaction bought buy",
        "cart": "basket bag",
        "product": "item article goods sku",
        "page": "screen site",
        "list": "category collection plp",
        "coupon": "voucher promo code discount",
        "payment": "pay card billing",
        "consent": "optin gdpr permission",
        "exit": "leave leaving left bounce",
        "intent": "intention",
    }.items()
}
_TYPE_WORDS: Final[Mapping[str, frozenset[str]]] = {
    word: frozenset(meaning for meaning, many in _TYPE_MEANINGS.items() if word in many)
    for word in frozenset[str]().union(*_TYPE_MEANINGS.values())
}
"""What a word can mean in the name of a type: "added" is what one does to carts, and to forms."""
_AROUND: Final = frozenset({"event", "evt", "ecommerce", "shop", "store", "track", "tracking", "app", "on", "handle"})
_SMALL: Final = frozenset({"to", "the", "a", "from", "event", "info", "user", "ecommerce"})
_SAID: Final[Mapping[str, str]] = {
    "addtocart": "product_added", "indenwarenkorb": "product_added", "productaddedtocart": "product_added",
    "productremovedfromcart": "product_removed", "viewcontent": "product_viewed",
    "collectionviewed": "product_list_viewed", "searchsubmitted": "products_searched",
    "checkoutcompleted": "order_completed", "addedtocart": "product_added", "cartadd": "product_added",
    "removefromcart": "product_removed", "removedfromcart": "product_removed", "viewcart": "cart_viewed",
    "viewitem": "product_viewed", "productdetail": "product_viewed", "viewedproduct": "product_viewed",
    "begincheckout": "checkout_started", "startedcheckout": "checkout_started", "checkout": "checkout_started",
    "initiatecheckout": "checkout_started", "purchase": "order_completed", "orderplaced": "order_completed",
    "placedorder": "order_completed", "purchased": "order_completed", "ordercreated": "order_completed",
    "pageview": "page_viewed", "page": "page_viewed", "identify": "user_identified", "refund": "order_refunded",
    "viewitemlist": "product_list_viewed", "search": "products_searched", "addpaymentinfo": "payment_info_entered",
}  # fmt: skip
"""What the large vendors call these events where the words alone do not say it."""


@lru_cache(maxsize=8192)
def type_likeness(said: str, kind: str) -> float:
    """From 0 to 1: how surely a text names this type of event."""
    plain = squashed(said)
    if plain == squashed(kind):
        return 1.0
    bare = squashed(_bare_type(said))
    if bare == squashed(kind):
        return 0.99
    if (known := _SAID.get(bare)) is not None:
        return 0.98 if known == kind else 0.0
    if len(plain) >= _LONG_ENOUGH and one_slip(bare, squashed(kind)):
        return 0.97
    right = _stems(kind)
    shared = max(_shared(_stems(said), right), 0.99 * _shared(_stems(_bare_type(said)), right))
    return max(0.93 * shared, 0.9 * _letters(bare, squashed(kind)))


def _shared(left: list[frozenset[str]], right: list[frozenset[str]]) -> float:
    """What share of the words of two names are common to both."""
    both = _paired(left, right)
    whole = len(left) + len(right) - both
    if whole > both == len(right) > 1 and not any(
        _is_telling(word) for word in left if not any(word & one for one in right)
    ):
        return _CONTAINED
    return both / whole if whole else 0.0


_CONTAINED: Final = 0.95
_DENYING: Final = frozenset({
    "not", "no", "un", "non", "before", "pre", "attempt", "attempted", "error", "undo", "test", "draft", "will",
    "abandoned", "pending",
})  # fmt: skip


def _is_telling(word: frozenset[str]) -> bool:
    """Whether a word beside those of a type says that another is meant."""
    return any(one in _TYPE_MEANINGS or one in _DENYING for one in word)


_LONG_ENOUGH: Final = 8
"""A slip in so many letters leaves no doubt which word was meant."""


def one_slip(left: str, right: str) -> bool:
    """Whether one letter was left out, doubled, exchanged for another, or for its neighbour."""
    start = next((n for n, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    if start is None:
        return abs(len(left) - len(right)) == 1
    one, other = left[start:], right[start:]
    turned = one[:2] == other[:2][::-1] and one[2:] == other[2:]
    return turned or one[1:] == other[1:] or one[1:] == other or one == other[1:]


def _bare_type(said: str) -> str:
    """The name without the space it stands in, its version, and what only says that it is an event."""
    last = re.split(r"[\\/:#]+|\.(?!v?\d)", said.strip())[-1]
    last = re.sub(r"(?i)[\W_]*v?\d{1,2}(\.\d+)*$", "", last)
    found = _WORDS.findall(last)
    while len(found) > 1 and found[0].lower() in _AROUND:
        found = found[1:]
    while len(found) > 1 and found[-1].lower() in _AROUND:
        found = found[:-1]
    return " ".join(found)


def _paired(left: list[frozenset[str]], right: list[frozenset[str]]) -> int:
    """How many words of one name mean one of the other's."""
    free = list(right)
    for word in left:
        other = next((one for one in free if one & word), None)
        if other is not None:
            free.remove(other)
    return len(right) - len(free)


def _stems(text: str) -> list[frozenset[str]]:
    found = dict.fromkeys(word.lower() for word in _WORDS.findall(unaccented(text)))
    return [_TYPE_WORDS.get(word, frozenset({word})) for word in found if word not in _SMALL]
