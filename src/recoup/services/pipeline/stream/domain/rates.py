"""How often the same visitor or address did the same within a minute, as far as this process has seen."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

_MOST_COUNTED: Final = 50_000


@dataclass(slots=True)
class Rates:
    """How much is too much for one minute, and what the latest minutes have seen."""

    most_events: int = 200
    most_carts: int = 10
    most_orders: int = 5
    _counted: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)

    def counted(self, what: str, store_id: str, who: str, minute: int) -> int:
        """Counts one more, and says how many that makes."""
        if len(self._counted) > _MOST_COUNTED:
            self._counted.clear()
        at = (what, store_id, who, minute)
        self._counted[at] += 1
        return self._counted[at]
