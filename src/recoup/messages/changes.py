"""The topics of changes, apart from the others so that who reads no events need not load Arrow."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.ids import new_id
from recoup.kit.service import Topic
from recoup.kit.trail import Change, Stage
from recoup.messages.access import Permission, Principal
from recoup.messages.stores import StoreConfigured

CONFIG_CHANGES = Topic("config-changes", StoreConfigured, key=lambda change: change.store_id)


class ChangeMade(Struct, frozen=True, kw_only=True):
    """What a service says of a change that a person or a key makes in a store: that it was begun, what became of it.

    All that is said of one change has its id, and comes in this order.
    """

    id: UUID
    store_id: str
    occurred_at: datetime
    actor: str
    service: str
    method: str
    route: str
    """The path as the service declares it."""
    path: str
    permission: str
    status: int
    """0 where there is no answer yet."""
    address: str
    request_id: str
    stage: Stage = Stage.MADE


CHANGES_MADE = Topic("changes-made", ChangeMade, key=lambda change: change.store_id)

_TAKEN_IN: Final = frozenset({Permission.EVENTS_WRITE, Permission.INTERVENTIONS_RECEIVE})
"""What shoppers do, and shops tell of it: that is kept as events, by the thousand a second."""
_CHANGING: Final = frozenset(Permission) - {Permission.INTERNAL} - _TAKEN_IN


def is_change(permission: str, method: str) -> bool:
    """Whether a request that is no GET changes something.

    What a permission to read allows is asking, whose question is too long for a path; except about oneself.
    """
    if permission not in _CHANGING:
        return False
    return method != "POST" or not permission.endswith(":read") or permission == Permission.SELF_READ


def changes_begun(service: str, who: Principal, change: Change, now: datetime) -> Sequence[ChangeMade]:
    """A change in the words of the trail, once for each store it concerns; none where no person and no key makes it.

    What belongs to no store in particular stands in the trail of every store whose rights were used.
    """
    if who.kind == "service":
        return ()
    entitled = [store for store, granted in who.stores.items() if change.permission in granted]
    stores = [change.tenant] if change.tenant in who.stores else entitled
    return [
        ChangeMade(
            id=new_id(), store_id=store, occurred_at=now, actor=who.subject, service=service, method=change.method,
            route=change.route, path=change.path, permission=change.permission, status=0,
            address=change.address, request_id=change.request_id, stage=Stage.BEGUN,
        )
        for store in stores
    ]  # fmt: skip
