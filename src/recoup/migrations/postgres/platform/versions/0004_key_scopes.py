"""Keys with scopes, origins, an expiry, a limit of their own, and what they were rotated into."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    alter table api_keys
        add column scopes text[],
        add column allowed_origins text[] not null default '{}',
        add column expires_at timestamptz,
        add column requests_per_minute int check (requests_per_minute > 0),
        add column replaced_by uuid references api_keys,
        add column changed_at timestamptz not null default clock_timestamp()
    """,
    # What keys of each kind could do until now; what comes later is for keys that are made for it.
    """
    update api_keys set scopes = case kind
        when 'publishable_key' then array['events:write', 'interventions:receive']
        else array[
            'analytics:read', 'dlq:read', 'dlq:write', 'events:read', 'events:write', 'export:read',
            'interventions:read', 'interventions:write', 'jobs:read', 'jobs:write', 'keys:read', 'models:read',
            'models:write', 'monitoring:read', 'monitoring:write', 'predict:read', 'schemas:read', 'schemas:write',
            'self:read', 'settings:read', 'settings:write', 'team:read'
        ]
    end
    """,
    "alter table api_keys alter column scopes set not null",
    "create index api_keys_changed on api_keys (changed_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
