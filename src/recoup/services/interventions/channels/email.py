"""E-mail: handed to a mail server where one is set, else kept in the outbox, so that nothing leaves the machine."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from recoup.kit.errors import Refused, Unavailable
from recoup.kit.mail import Mailer
from recoup.services.interventions.channels.domain import Parcel, Receipt, mail_of
from recoup.services.interventions.channels.store import Outbox

_NO_ADDRESS = Receipt("refused", "there is no address to write to")


@dataclass(frozen=True, slots=True)
class SmtpChannel:
    """Mail by SMTP; the server's permanent refusal is final."""

    server: Mailer

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        return await asyncio.gather(*(self._sent(parcel) for parcel in parcels))

    async def _sent(self, parcel: Parcel) -> Receipt:
        if parcel.mail is None or not parcel.address:
            return _NO_ADDRESS
        try:
            await self.server.send(mail_of(parcel, parcel.mail))
        except Refused as error:
            return Receipt("refused", error.detail)
        except Unavailable as error:
            return Receipt("failed", error.detail)
        return Receipt("delivered")


@dataclass(frozen=True, slots=True)
class OutboxChannel:
    """Mail into the outbox that the console shows."""

    outbox: Outbox

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        await self.outbox.put([parcel for parcel in parcels if parcel.mail is not None and parcel.address])
        kept = Receipt("delivered", "in the local outbox")
        return [kept if parcel.mail is not None and parcel.address else _NO_ADDRESS for parcel in parcels]
