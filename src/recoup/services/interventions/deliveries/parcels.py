"""Makes a decision into a parcel: the words, and the signed links. Pure but for the templates' own compilation."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit, urlunsplit

from recoup.messages.stores import Channel, StoreSettings
from recoup.services.interventions.channels.domain import Parcel
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.preferences.domain import Person, seats
from recoup.services.interventions.templates.domain import Letter, Links, Templates
from recoup.services.interventions.tracking.domain import Link, signed


@dataclass(frozen=True, slots=True)
class Parcels:
    """Where links lead and how they are signed."""

    templates: Templates
    key: bytes
    public_url: str

    def parcel(
        self,
        intervention: Intervention,
        person: Person,
        settings: StoreSettings,
        channel: Channel,
        times: tuple[datetime, datetime],
    ) -> Parcel:
        """One message, ready for a channel; `times` are the store's and ours."""
        address = person.email or ""
        shop_url = settings.shop_url or f"{self.public_url}/shop"
        restore = _restored(shop_url, intervention.cart_id, intervention.coupon)
        links = self._links(intervention, restore, shop_url, address)
        letter = self._letter(intervention, person, settings, links)
        return Parcel(
            intervention_id=intervention.id,
            store_id=intervention.store_id,
            person_id=intervention.person_id,
            seats=seats(intervention.cart, intervention.person_id),
            address=address,
            sender=settings.sender,
            shop=letter.shop,
            cart=intervention.cart,
            action=intervention.action,
            percent=intervention.discount_percent,
            coupon=intervention.coupon,
            mail=self.templates.mail(letter) if channel == "email" else None,
            notice=self.templates.notice(letter) if channel == "websocket" else None,
            links={"cart": links.cart, "shop": links.shop, "unsubscribe": links.unsubscribe, "restore": restore},
            store_time=times[0],
            sent_at=times[1],
            expires_at=intervention.expires_at,
        )

    @staticmethod
    def _letter(intervention: Intervention, person: Person, settings: StoreSettings, links: Links) -> Letter:
        return Letter(
            cart=intervention.cart,
            shop=" ".join(settings.name.split()) or "the shop",
            name=(person.name or "").partition(" ")[0],
            action=intervention.action,
            percent=intervention.discount_percent,
            coupon=intervention.coupon,
            links=links,
            locale="en",
        )

    def _links(self, intervention: Intervention, restore: str, shop_url: str, address: str) -> Links:
        store_id, identity = intervention.store_id, intervention.id
        return Links(
            cart=self._url("track/click", Link("clicked", store_id, identity, restore)),
            shop=self._url("track/click", Link("clicked", store_id, identity, shop_url)),
            unsubscribe=self._url("unsubscribe", Link("unsubscribed", store_id, identity, "", address)),
            open=self._url("track/open", Link("opened", store_id, identity)) + ".gif",
        )

    def _url(self, path: str, link: Link) -> str:
        return f"{self.public_url}/api/{path}/{signed(self.key, link)}"


def _restored(shop_url: str, cart_id: str, coupon: str | None) -> str:
    """The shop's address with the cart, and the code that goes with it, in the query."""
    parts = urlsplit(shop_url)
    query = f"cart={quote(cart_id, safe='')}" + (f"&coupon={coupon}" if coupon else "")
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query))
