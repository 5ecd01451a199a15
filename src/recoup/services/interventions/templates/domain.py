"""Fills templates in. Sandboxed: a template sees its variables and nothing else; HTML is escaped. Sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from jinja2 import DictLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import Struct

from recoup.kit.money import major_units
from recoup.messages.events import Item
from recoup.messages.facts import Action, Cart

VERSION = 1
LISTED = 6
"""More lines than this make a mail a catalogue."""
_LONGEST_NAME = 90
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "CAD": "CA$", "AUD": "A$"}


class Line(Struct, frozen=True):
    """One line of a cart, ready to be shown."""

    name: str
    quantity: int
    price: str
    total: str


class Links(Struct, frozen=True):
    """Where a message leads; all of them signed, but for the socket's own page."""

    cart: str
    shop: str
    unsubscribe: str
    open: str


class Letter(Struct, frozen=True, kw_only=True):
    """What a message is about."""

    cart: Cart
    shop: str
    name: str
    action: Action
    percent: int
    coupon: str | None
    links: Links
    locale: str


class Mail(Struct, frozen=True, kw_only=True):
    """An e-mail's words."""

    subject: str
    text: str
    html: str


class Notice(Struct, frozen=True, kw_only=True):
    """An on-site message's words."""

    title: str
    body: str
    button: str


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


def money(amount: int, currency: str) -> str:
    """As people write it: $1,999.00, ¥1,999, CHF 19.99."""
    value: Decimal = major_units(amount, currency)
    figures = f"{value:,}"
    sign = _SIGNS.get(currency)
    return f"{sign}{figures}" if sign else f"{currency} {figures}"


def lines(items: Sequence[Item], currency: str) -> list[Line]:
    """The first lines of a cart; a product without a name goes by its id."""
    return [
        Line(
            name=(item.name or item.product_id)[:_LONGEST_NAME],
            quantity=item.quantity,
            price=money(item.price, currency),
            total=money(item.price * item.quantity, currency),
        )
        for item in items[:LISTED]
    ]


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates, compiled once; `sources` by file name."""

    sources: Mapping[str, str]
    _environment: ImmutableSandboxedEnvironment = field(init=False)

    def __post_init__(self) -> None:
        environment = ImmutableSandboxedEnvironment(
            loader=DictLoader(self.sources),
            autoescape=_is_html,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        object.__setattr__(self, "_environment", environment)

    def mail(self, letter: Letter) -> Mail:
        """The subject, the plain text and the HTML of an e-mail."""
        return Mail(
            subject=self._filled("mail.subject.txt", letter),
            text=self._filled("mail.txt", letter) + "\n",
            html=self._filled("mail.html", letter),
        )

    def notice(self, letter: Letter) -> Notice:
        """The title, the body and the button of an on-site message; plain text, which the page must escape."""
        title, body, button = self._filled("notice.txt", letter).split("\n", 2)
        return Notice(title=title, body=body, button=button)

    def _filled(self, name: str, letter: Letter) -> str:
        template: Template = self._environment.get_template(name)
        items = letter.cart.items
        return template.render(
            shop=letter.shop,
            name=letter.name,
            items=lines(items, letter.cart.currency),
            count=sum(item.quantity for item in items),
            more=max(0, len(items) - LISTED),
            total=money(letter.cart.value, letter.cart.currency),
            action=letter.action.value,
            percent=letter.percent,
            coupon=letter.coupon or "",
            links=letter.links,
            locale=letter.locale,
        ).strip()
