"""Every topic, once: its name, what a record holds, and what keeps together.

Which service writes and reads which is in `wiring.py`.
"""

from collections.abc import Mapping
from typing import Final

from recoup.kit.runner import parking_topic
from recoup.kit.service import ArrowTopic, Topic
from recoup.messages.changes import CHANGES_MADE, CONFIG_CHANGES
from recoup.messages.events import DEAD, ENRICHED, RAW
from recoup.messages.facts import CartScored, ConversionRecorded, InterventionEvent, RiskSignal

__all__ = ["CHANGES_MADE", "CONFIG_CHANGES"]  # declared beside what they carry

EVENTS_RAW = ArrowTopic("cart-events-raw", RAW)
EVENTS_OVERFLOW = ArrowTopic("cart-events-overflow", RAW)
EVENTS_ENRICHED = ArrowTopic("cart-events-enriched", ENRICHED)
EVENTS_DEAD = ArrowTopic("cart-events-dlq", DEAD)
PREDICTION_RESULTS = Topic(
    "prediction-results", CartScored, key=lambda scored: f"{scored.store_id}/{scored.cart.cart_id}"
)
INTERVENTION_EVENTS = Topic(
    "intervention-events", InterventionEvent, key=lambda event: f"{event.store_id}/{event.cart_id}"
)
CONVERSION_EVENTS = Topic(
    "conversion-events", ConversionRecorded, key=lambda event: f"{event.store_id}/{event.person_id}"
)
RISK_SIGNALS = Topic("risk-signals", RiskSignal, key=lambda signal: f"{signal.store_id}/{signal.subject}")

RECORDS_PARKED = parking_topic()
"""What readers could not handle; every reader may write it."""

PARKED_GROUP: Final = "parked"
"""Keeps parked records where they can be looked at and put back."""
ROUTING_GROUP: Final = "routing"
"""Reads the enriched topic for stores' routing rules, once there is one."""
ROUTED_GROUP: Final = "routed"
"""Stands for whoever looks at stores' own topics, so that these can be trimmed by age."""

READERS: Final[Mapping[str, tuple[str, ...]]] = {
    EVENTS_RAW.name: ("pipeline", "intelligence"),
    EVENTS_OVERFLOW.name: ("overflow",),
    EVENTS_ENRICHED.name: ("ai", "interventions", "monitoring", "intelligence", ROUTING_GROUP),
    EVENTS_DEAD.name: ("intelligence", "deadletters"),
    PREDICTION_RESULTS.name: ("interventions", "intelligence"),
    INTERVENTION_EVENTS.name: ("monitoring", "intelligence"),
    CONVERSION_EVENTS.name: ("monitoring", "intelligence"),
    RISK_SIGNALS.name: ("interventions",),
    CHANGES_MADE.name: ("platform",),
    RECORDS_PARKED.name: (PARKED_GROUP,),
}
"""The groups that read each topic, for whoever shows how far they are behind. A test holds it against the records."""
