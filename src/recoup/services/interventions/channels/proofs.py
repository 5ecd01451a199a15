"""Who a page may listen for: a user its shop vouches for, or the visitor whose id only that page can know."""

import re
from dataclasses import dataclass
from typing import Final

from recoup.kit.errors import Forbidden
from recoup.messages.proofs import ProofAsked, Proofs
from recoup.services.interventions.preferences.domain import page_seat, user_seat

_UNGUESSABLE: Final = re.compile(r"[0-9A-Za-z_-]{21,128}")
"""As long as 122 random bits are when written short; a UUID is longer. Whether they are random only the page knows."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Seating:
    """Finds the seats of a page that comes in."""

    proofs: Proofs

    async def seats(self, store_id: str, user_id: str, user_hash: str | None, anonymous_id: str | None) -> list[str]:
        """The seats of a page; raises Forbidden for a user nobody vouches for and an id that could be guessed."""
        if user_hash is None:
            return [_visitor(user_id)]
        asked = ProofAsked(store_id=store_id, user_id=user_id, user_hash=user_hash)
        if not _HASH.fullmatch(user_hash) or not await self.proofs.holds(asked):
            raise Forbidden("user_hash does not prove this user", code="identity_unproven")
        return [user_seat(user_id), *([] if anonymous_id is None else [_visitor(anonymous_id)])]


def _visitor(anonymous_id: str) -> str:
    if not _UNGUESSABLE.fullmatch(anonymous_id):
        raise Forbidden(
            "a user needs a user_hash, and a visitor an id that cannot be guessed: 21 letters and digits or more",
            code="identity_unproven",
        )
    return page_seat(anonymous_id)
