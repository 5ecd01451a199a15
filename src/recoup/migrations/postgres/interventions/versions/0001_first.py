"""The tables of the interventions service: who people are, what was decided, what is under way, what came of it."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    # --- announcements: what has still to be published, written together with the change it tells of
    """
    create table announcements (
        seq bigint generated always as identity primary key,
        topic text not null,
        message jsonb not null
    )
    """,
    # --- clocks: how far a store's event time has come, by partition of the enriched topic
    """
    create table clocks (
        store_id text not null, partition int not null, reached timestamptz not null,
        primary key (store_id, partition)
    )
    """,
    # --- preferences: who a shopper is, how to reach them, what they asked for
    """
    create table identities (
        store_id text not null, anonymous_id text not null, user_id text not null, linked_at timestamptz not null,
        primary key (store_id, anonymous_id)
    )
    """,
    "create index identities_by_user on identities (store_id, user_id)",
    """
    create table people (
        store_id text not null, person_id text not null,
        email text, phone text, name text, locale text, timezone text,
        consent boolean, consent_at timestamptz, updated_at timestamptz not null,
        primary key (store_id, person_id)
    )
    """,
    "create index people_by_email on people (store_id, email) where email is not null",
    """
    create table preferences (
        store_id text not null, user_id text not null,
        channels text[], quiet_from text, quiet_until text, timezone text,
        opted_out boolean not null default false, updated_at timestamptz not null,
        primary key (store_id, user_id)
    )
    """,
    """
    create table suppressions (
        store_id text not null, address text not null, reason text not null, added_at timestamptz not null,
        primary key (store_id, address)
    )
    """,
    """
    create table risks (
        store_id text not null, subject text not null, kind text not null,
        score double precision not null, reasons text[] not null, signalled_at timestamptz not null,
        primary key (store_id, subject, kind)
    )
    """,
    # --- decisions
    """
    create table carts (
        store_id text not null, cart_id text not null, cart_number int not null,
        abandoned_at timestamptz, decided_at timestamptz, returned_at timestamptz,
        primary key (store_id, cart_id, cart_number)
    )
    """,
    "create index carts_undecided on carts (store_id) where decided_at is null",
    """
    create table interventions (
        id uuid primary key, store_id text not null,
        cart_id text not null, cart_number int not null, trigger text not null,
        person_id text not null, assigned_as text not null,
        outcome text not null, channel text, action text not null, discount_percent int not null, coupon text,
        rules jsonb not null, propensity double precision not null,
        probability double precision not null, model_version text not null, reasons text[] not null,
        cart jsonb not null, clock text not null,
        decided_at timestamptz not null, due_at timestamptz, expires_at timestamptz not null,
        recorded_at timestamptz not null default now(),
        unique (store_id, cart_id, cart_number, trigger)
    )
    """,
    "create index interventions_newest on interventions (store_id, recorded_at desc, id desc)",
    "create index interventions_by_person on interventions (store_id, person_id, decided_at desc)",
    # --- deliveries: rows claimed with a lease; `fence` names the claim that may still write
    """
    create table deliveries (
        intervention_id uuid primary key references interventions on delete cascade,
        store_id text not null, person_id text not null, cart_id text not null,
        status text not null, clock text not null, channel text,
        due_at timestamptz not null, next_try_at timestamptz not null, expires_at timestamptz not null,
        attempts int not null default 0, failures int not null default 0,
        fence bigint not null default 0, lease_until timestamptz,
        frame text, offered_at timestamptz, detail text not null default '',
        delivered_at timestamptz, finished_at timestamptz
    )
    """,
    "create index deliveries_open on deliveries (due_at) where status in ('pending', 'offered')",
    "create index deliveries_open_by_person on deliveries (store_id, person_id) where status in ('pending', 'offered')",
    "create index deliveries_open_by_cart on deliveries (store_id, cart_id) where status in ('pending', 'offered')",
    """
    create table outbox (
        id uuid primary key, store_id text not null, intervention_id uuid not null,
        person_id text not null, cart_id text not null,
        recipient text not null, sender text not null, subject text not null, body text not null, html text not null,
        headers jsonb not null, links jsonb not null, sent_at timestamptz not null, store_time timestamptz not null
    )
    """,
    "create index outbox_newest on outbox (store_id, sent_at desc, id desc)",
    # --- tracking: raw touches; `machine` is null until the touches around one have been looked at
    """
    create table touches (
        id uuid primary key, store_id text not null, intervention_id uuid not null, person_id text not null,
        cart_id text not null, cart_number int not null,
        kind text not null, channel text, target text not null default '',
        at timestamptz not null, received_at timestamptz not null, user_agent text not null default '',
        machine boolean
    )
    """,
    "create index touches_of_intervention on touches (store_id, intervention_id)",
    "create index touches_of_person on touches (store_id, person_id, at desc)",
    "create index touches_unsettled on touches (received_at) where machine is null",
    # --- attribution
    """
    create table orders (
        store_id text not null, order_id text not null, person_id text not null, cart_id text,
        amount bigint not null, currency text not null, ordered_at timestamptz not null,
        primary key (store_id, order_id)
    )
    """,
    "create index orders_of_person on orders (store_id, person_id, ordered_at desc)",
    "create index orders_of_cart on orders (store_id, cart_id, ordered_at desc) where cart_id is not null",
    """
    create table conversions (
        store_id text not null, order_id text not null, intervention_id uuid not null,
        conversion jsonb not null, recorded_at timestamptz not null default now(),
        primary key (store_id, order_id)
    )
    """,
    "create index conversions_of_intervention on conversions (store_id, intervention_id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
