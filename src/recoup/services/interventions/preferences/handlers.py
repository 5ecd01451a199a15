"""A risk was signalled: remember it for the next decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from recoup.messages.facts import RiskSignal
from recoup.services.interventions.preferences.store import People


@dataclass(frozen=True, slots=True)
class Handlers:
    """From a signal to what is known of a person."""

    people: People

    async def on_risk_signals(self, signals: Sequence[RiskSignal]) -> None:
        await self.people.note_risks(signals)
