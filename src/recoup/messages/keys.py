"""Every Valkey key pattern, once, with its owner, type and lifetime. Only the owner's store room may touch its keys."""

from datetime import timedelta
from typing import Literal, NamedTuple


class KeyPattern(NamedTuple):
    """A family of keys; `pattern` has the variable parts in braces."""

    pattern: str
    owner: str
    kind: Literal["string", "hash", "list", "set", "zset", "stream"]
    lifetime: timedelta | None
    meaning: str

    def key(self, **parts: object) -> str:
        """One key of the family."""
        return self.pattern.format(**parts)


SEEN_EVENTS = KeyPattern(
    "seen:{partition}:{slot}", "pipeline", "list", timedelta(minutes=80), "ids of events that took effect, by batch"
)
CARTS = KeyPattern("carts:{partition}", "pipeline", "hash", None, "state of each cart that holds or held items")
CART_JOURNAL = KeyPattern(
    "cart_journal:{partition}", "pipeline", "list", None, "what batches did to carts since their states were written"
)
VISITOR_USERS = KeyPattern(
    "visitor_users:{store_id}:{month}", "pipeline", "hash", timedelta(days=61), "user each visitor was last seen as"
)
CART_DUE = KeyPattern("cart_due:{partition}:{store_id}", "pipeline", "zset", None, "when to look at a cart again, ms")
REBUILDING = KeyPattern(
    "rebuilding:{partition}", "pipeline", "string", None, "there while a partition's state is being read back"
)
PIPELINE_STATUS = KeyPattern("pipeline_status:{member}", "pipeline", "string", timedelta(minutes=1), "rates by stage")
PIPELINE_EPOCH = KeyPattern("pipeline_epoch", "pipeline", "string", None, "mark by which this Valkey is known again")
PIPELINE_LOSS = KeyPattern("pipeline_loss", "pipeline", "string", None, "what was lost when Valkey came back empty")
COLLECTOR_STATUS = KeyPattern(
    "collector_status:{member}", "pipeline", "string", timedelta(minutes=1), "rates and latencies of a collector"
)
EVENT_STATS = KeyPattern(
    "event_stats:{store_id}", "pipeline", "hash", None, "counts of accepted, refused, duplicate events"
)
EVENT_HOURS = KeyPattern(
    "event_hours:{store_id}:{hour}", "pipeline", "hash", timedelta(hours=26), "counts of what arrived in an hour"
)
EVENT_LAST = KeyPattern("event_last:{store_id}", "pipeline", "hash", None, "when each kind of thing last arrived, ms")
TAIL_WATCHES = KeyPattern(
    "tail_watches", "pipeline", "hash", timedelta(minutes=5), "who watches events arrive, by watch: what and until when"
)
TAIL = KeyPattern(
    "tail:{store_id}:{watch}", "pipeline", "list", timedelta(seconds=30), "events on their way to whoever watches"
)
FLOODS = KeyPattern(
    "floods:{store_id}:{day}", "pipeline", "hash", timedelta(days=2), "visitors who flooded: since, last, events"
)
VISITOR_CART = KeyPattern(
    "visitor_cart:{store_id}:{visitor}", "pipeline", "string", timedelta(days=30), "cart a visitor was last seen with"
)
USER_PROFILE = KeyPattern(
    "user_profile:{store_id}:{user_id}", "pipeline", "hash", timedelta(days=400), "a user's orders, and when last seen"
)
PROFILES_CHANGED = KeyPattern(
    "profiles_changed", "pipeline", "set", None, "users whose profiles are newer than their copies in PostgreSQL"
)
STORE_CONFIG = KeyPattern(
    "store_config:{store_id}", "pipeline", "string", timedelta(days=90), "a store's settings as the platform last said"
)
SCHEMA_CACHE = KeyPattern(
    "schema_cache:{store_id}", "pipeline", "string", timedelta(days=90), "a store's schemas as the registry last said"
)
PRODUCT_FACTS = KeyPattern(
    "product_facts:{store_id}:{month}", "pipeline", "hash", timedelta(days=61), "name, category and brand of products"
)
SESSIONS = KeyPattern(
    "sessions:{store_id}:{hour}", "pipeline", "hash", timedelta(hours=2), "how each session of the hour began"
)
SESSION_PAGES = KeyPattern(
    "session_pages:{store_id}:{hour}", "pipeline", "hash", timedelta(hours=2), "pages each session has seen"
)
STORE_CLOCKS = KeyPattern("store_clocks:{partition}", "pipeline", "hash", None, "event time reached, by store")
CART_FEATURES = KeyPattern(
    "features:{store_id}:{cart_id}", "ai", "string", timedelta(days=8), "what a cart's events add up to, packed"
)
SESSION_FEATURES = KeyPattern(
    "session_features:{store_id}:{session_id}", "ai", "string", timedelta(days=2), "a session's events without a cart"
)
USER_FEATURES = KeyPattern(
    "user_features:{store_id}:{user_id}", "ai", "zset", timedelta(days=400), "orders of a person, by time"
)
PREDICTION = KeyPattern(
    "prediction:{store_id}:{cart_id}", "ai", "string", timedelta(days=8), "last prediction of a cart"
)
CONTACTS = KeyPattern(
    "contacts:{store_id}:{person_id}", "interventions", "zset", timedelta(days=8), "when a person was contacted"
)
SOCKETS = KeyPattern(
    "ws_connections:{store_id}", "interventions", "zset", timedelta(minutes=5), "who has a page open, until when"
)
LOAD_INTENTS = KeyPattern(
    "load_intents", "intelligence", "hash", None, "what each loader is about to insert, by member"
)
LOADS_BEGUN = KeyPattern("loads_begun", "intelligence", "string", None, "there as long as all intents are known")
RATE_WINDOWS = KeyPattern("rate_window:{identifier}", "platform", "string", timedelta(minutes=2), "recent requests")
RATE_LIMIT = KeyPattern("rate_limit:{identifier}", "platform", "string", timedelta(minutes=5), "recent attempts")
IDEMPOTENT_ANSWERS = KeyPattern(
    "idempotent:{service}:{request}",
    "every service",
    "string",
    timedelta(hours=24),
    "what a POST with a key was answered",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, KeyPattern))
