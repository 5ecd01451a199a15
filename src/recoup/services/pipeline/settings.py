"""Settings of the pipeline, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `pipeline`."""

    batch_events: int = 1_000
    """Most events in one request or frame; more is refused with 413."""
    batch_bytes: int = 1_048_576
    """Largest body, after decompression; more is refused with 413."""
    unreadable_bytes: int = 65_536
    """How much is kept, as a dead letter, of a body that cannot be read."""
    unreadable_per_minute: int = 60
    """How many of these are kept of one store; further ones are only counted."""
    max_items: int = 500
    """Most lines in one cart or order."""
    max_properties_bytes: int = 32_768
    """Largest `properties` of one event."""
    max_backlog_records: int = 20_000
    """Records that may wait for the processor, or on one topic for the warehouse; beyond it there is 429."""
    log_patience_seconds: float = 10.0
    """How long requests wait for a log that does not answer; then, and until it does again, there is 503. Less by 8
    than the gateway's `collect_seconds`: to its breakers a late answer is a failure, a 503 that says when is none."""
    max_unwritten_events: int = 200_000
    """Events that may wait in memory for a slow log; beyond it there is 429."""
    overflow_records: int = 20_000
    """Records that may wait in the overflow lane; beyond it events of visitors who flood are refused, with 429."""
    overflow_events_per_second: int = 2_000
    """How fast a processor hands events of the overflow lane back to the stream."""
    overflow_waits_above_records: int = 400
    """While more records than this wait for the stream, the overflow lane waits."""
    socket_frames: int = 16
    """Frames of one socket that may wait for their acknowledgement, at least 2; beyond it nothing is read."""
    socket_heartbeat_seconds: float = 20.0
    """A socket silent for so long is asked for a sign of life, and closed when none comes for as long again."""
    socket_silence_seconds: float = 600.0
    """A socket whose client said no hello is closed after such a silence."""
    socket_sessions: int = 10_000
    """Clients whose last durable frames are remembered for when they come back."""
    future_hours: int = 24
    """How far ahead of our clock an event may be."""
    clock_leap_minutes: float = 10.0
    """How long a leap of the machine's clock is taken for a mistake; then it is believed."""
    skew_seconds: int = 5
    """A difference of `sent_at` from our clock beyond this is taken for a wrong clock and corrected."""
    schema_wait_seconds: float = 2.0
    """How long events wait for the registry where a schema they name is not known; then they go on and are counted."""
    schema_pause_seconds: float = 10.0
    """How long a registry that did not answer is left alone; what is known of schemas is kept."""
    rebuild_days: float = 8.0
    """How far back the enriched topic is read for carts where Valkey came back empty and the log, on Kafka, did not."""
    rebuild_records: int = 2_000
    """Most records of the topic in memory at a time while it is read back."""
    schema_memory_bytes: int = 4_194_304
    """Most schemas of a store that Valkey keeps for processes that begin while the platform is away."""
    schema_checks: int = 20_000
    """Checks that may be made to tell what is wrong with one event; where its schema and depth could need more, it is
    only told that it does not fit."""
    read_records: int = 400
    """Most records a partition gives to one step of the processor."""
    engine_threads: int = 1
    """Threads of the column engine in the processor."""
    keep_seconds: float = 0.0
    """How long records stay on the event topics after every group has committed them."""
    cart_cache: int = 200_000
    """Carts whose state the processor keeps in memory."""
    visitor_cache: int = 100_000
    """Visitors whose user the processor remembers to have written down."""
    session_cache: int = 200_000
    """Sessions the processor keeps in memory; what it does not is read again when needed."""
    profile_cache: int = 100_000
    """Users whose profile the processor keeps in memory."""
    profile_wait_seconds: float = 0.02
    """How long a batch waits for profiles of users that are not; then its rows go on without and say so."""
    profile_copy_seconds: float = 2.0
    """How often profiles that have changed are copied to PostgreSQL: so much of them can be lost with Valkey."""
    profile_connections: int = 2
    """Connections of a processor to PostgreSQL."""
    product_cache: int = 100_000
    """Products of which the processor keeps in memory what is known."""
    product_wait_seconds: float = 0.02
    """How long a batch waits for facts of products that are not; then its rows go on without and say so."""
    risk_events_a_minute: int = 200
    """More events of one session within a minute are marked as `event_rate`."""
    risk_carts_a_minute: int = 10
    """More carts opened within a minute by one visitor, or from one address, are marked as `cart_rate`."""
    risk_orders_a_minute: int = 5
    """More orders within a minute by one visitor, or from one address, are marked as `order_rate`."""
    disposable_domains: str = ""
    """A file of domains, one a line, whose e-mail addresses are marked as `disposable_address`; empty: none is."""
    dead_letter_days: int = 30
    """How long a dead letter is kept."""
    dead_letters_kept: int = 100_000
    """Most dead letters kept of one store; the oldest go first."""
    dead_letter_connections: int = 2
    """Connections to PostgreSQL, also for parked records."""
    parked_days: int = 30
    """How long a parked record is kept after it was put back or dismissed; an open one is kept until then."""
    parked_kept: int = 10_000
    """Most parked records kept; the oldest go first."""
    dead_letter_seconds: float = 2.0
    """How often dead letters are looked at for what is due."""
    sample_seconds: float = 20.0
    """How often a sample of what arrives is taken, for the repairer to learn from."""
    dead_letter_retries: int = 5
    """Tries after which a letter that waits for something of ours is left to a person."""
    dead_letter_pause_seconds: float = 30.0
    """Before the first of these tries; twice as long before each further one."""
    dead_letter_window_minutes: int = 10
    """The window in which a store's dead letters are counted against its limit."""
    webhook_bytes: int = 4_194_304
    """Largest delivery of a shop platform; more is refused with 413, by the gateway at its `webhook_limit_bytes`."""
    webhook_attempts: int = 12
    """Tries after which a webhook delivery that is refused as a whole is left to a person."""
    webhook_connections: int = 2
    """Connections to PostgreSQL for webhooks."""
    webhook_days: int = 30
    """How long deliveries are kept, and repeats of them recognised."""
    webhook_secret_hours: int = 24
    """How long a webhook secret is still believed after a newer one was set."""
    woocommerce_checkouts: str = "checkout,store-api"
    """Origins (`created_via`), with commas, of WooCommerce orders that a shopper's cart became."""
    tail_events_per_second: int = 50
    """Events that one processor shows to one person who watches; of more than these, a sample is shown."""
    tail_watches: int = 50
    """People who may watch events at the same time, over all stores."""
    tail_seconds: float = 300.0
    """How long somebody watches before having to ask, and prove who they are, again."""
    status_seconds: float = 1.0
    """How often the processor writes down its rates for `GET /pipeline/status`."""
    routing_rules: int = 50
    """Most routing rules of a store."""
    routing_destinations: int = 20
    """Most destinations of a store's rules."""
    routing_depth: int = 6
    """How deep conditions of a rule may nest."""
    routing_comparisons: int = 50
    """Most comparisons in one rule."""
    routing_values: int = 200
    """Most values in one list of a comparison."""
    routing_versions: int = 100
    """Versions of a store's rules that are kept."""
    routing_refresh_seconds: float = 2.0
    """How old the rules may be that events are held against."""
    routing_gather_seconds: float = 0.5
    """How long enriched events pile up before rules look at them."""
    routing_batch_events: int = 100
    """Most events in one call of a webhook that takes batches."""
    routing_queue: int = 10_000
    """Deliveries that may wait for one webhook; beyond it further events are counted, told of, and not queued."""
    routing_concurrency: int = 8
    """Most calls at a time that a webhook may be set to, by each process that sends."""
    routing_lanes: int = 100
    """Webhooks that one process calls at the same time."""
    routing_connections: int = 3
    """Connections to PostgreSQL for routing."""
    routing_timeout_seconds: float = 15.0
    """Longest call of a webhook, from looking up its name to the end of its answer."""
    routing_answer_bytes: int = 4_096
    """How much of a webhook's answer is read."""
    routing_private_addresses: bool = False
    """Whether webhooks may lead into one's own network, and there over plain http."""
    routing_attempts: int = 12
    """Calls after which a delivery is given up."""
    routing_pause_seconds: float = 5.0
    """Before the second call of a delivery; up to twice as long before each further one, by chance up to half less."""
    routing_longest_pause_seconds: float = 21_600.0
    """Longest pause of a delivery between two calls."""
    routing_longest_rest_seconds: float = 300.0
    """Longest rest of a webhook after calls that failed; `Retry-After` is followed up to this."""
    routing_failures: int = 20
    """Calls that fail one after the other before a webhook is paused and its shop told."""
    routing_look_seconds: float = 2.0
    """How often is looked for deliveries that are due again."""
    routing_upkeep_seconds: float = 30.0
    """How often shops are told of failing webhooks, and topics trimmed."""
    routing_secret_hours: int = 24
    """How long a replaced webhook secret signs along with the new one."""
    routing_delivered_hours: int = 24
    """How long a delivery is kept once it was received, to be looked at or sent again."""
    routing_days: int = 14
    """How long any other is kept, those included that wait for a paused webhook."""
    routing_topic_records: int = 100_000
    """Most records in one store's topic; beyond it the oldest go before their time."""
    routing_page_records: int = 50
    """Most records of each partition that one reading of a topic looks at."""
