"""Settings of the platform service, each with its default. Read by the command line only."""

from msgspec import Struct

from recoup.kit.config import Secret


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `platform`."""

    body_limit_bytes: int = 1_048_576
    """Largest request body that passes the gateway; more is refused with 413."""
    webhook_limit_bytes: int = 4_194_304
    """The same for webhooks of shop platforms, where one order of several hundred lines comes as one body. What passes
    meets the pipeline's `webhook_bytes`."""
    frame_limit_bytes: int = 1_048_576
    """Largest WebSocket message from a service to a client."""
    connect_seconds: float = 2.0
    """How long the gateway tries to reach a service before it answers 503."""
    call_seconds: float = 3.0
    """How long a service may take until its answer begins, from the last byte of the request on."""
    collect_seconds: float = 20.0
    """The same for events and webhooks: 8 more than the pipeline's `log_patience_seconds` at least, so that a log that
    restarts makes them slow and not refused."""
    patient_seconds: float = 30.0
    """The same for what may work long: analytics, exports, training, jobs, dead letters."""
    upload_seconds: float = 10.0
    """How long a client may be silent in the middle of its request; longer is answered with 408."""
    silence_seconds: float = 30.0
    """How long a service may be silent in the middle of an answer."""
    total_seconds: float = 900.0
    """Longest answer, from the first byte of the request to the last of the answer."""
    routes: str = ""
    """A JSON file of segments of the public API and the services they lead to, laid over the built-in table."""
    trusted_proxies: str = ""
    """Addresses and networks (10.0.0.0/8), with commas, of proxies before us whose X-Forwarded headers are believed."""
    access_minutes: int = 15
    """Lifetime of an access token."""
    refresh_days: int = 30
    """Lifetime of a sign-in that is kept alive by refreshing."""
    login_attempts: int = 10
    """Failed sign-ins to one account from one address in five minutes; more is refused with 429."""
    login_attempts_per_account: int = 100
    """Failed sign-ins to one account in five minutes, whatever the address."""
    login_attempts_per_address: int = 100
    """Failed sign-ins from one address in five minutes, whatever the account; of IPv6, from one /64 network."""
    code_attempts: int = 5
    """Failed codes of a second factor, or passwords asked for again, of one person in five minutes."""
    letters: int = 3
    """Letters for a new password that one address is sent in five minutes."""
    password_signs: int = 12
    """Shortest new password."""
    reset_minutes: int = 60
    """How long the link for a new password is good."""
    invitation_days: int = 7
    """How long an invitation may be accepted."""
    key_lead_seconds: float = 60.0
    """How long a new signing key is published before it signs, so that whoever verifies tokens has it by then."""
    smtp_url: Secret = Secret("")
    """smtp://user:password@host:port or smtps://…; empty lays e-mails to people into `mail` of the data folder."""
    mail_from: str = "Recoup <recoup@localhost>"
    """Who e-mails to people come from."""
    admin_email: str = "admin@example.com"
    """The first person of a new installation; the password is made up and written to first-run.json."""
    store_name: str = "My shop"
    """The first store of a new installation."""
    rate_user: int = 6_000
    """Requests a minute of one person; more is refused with 429. 0 here or in one of the next: no limit."""
    rate_key: int = 1_200_000
    """Requests a minute with one API key that has no limit of its own."""
    rate_store: int = 3_000_000
    """Requests a minute about one store, whoever makes them."""
    rate_endpoint: int = 600_000
    """Requests a minute about one store at one endpoint, by the first segment below /api; the platform is one."""
    rate_address: int = 60_000
    """Requests a minute from one address that do not say in their headers who asks: links in mails, shop platforms,
    keys in bodies."""
    rate_endpoints: str = "export=1200,training=1200"
    """Endpoints with a limit of their own instead of that one."""
    schema_bytes: int = 262_144
    """Largest schema that is registered."""
    schema_versions: int = 1_000
    """Most versions of one subject, deleted ones too."""
    schema_subjects: int = 10_000
    """Most subjects of one store."""
    schema_reference_depth: int = 8
    """How far schemas may refer to schemas that refer to schemas."""
    graphql_depth: int = 8
    """How deep a GraphQL query may be nested."""
    graphql_cost: int = 2_000
    """Most fields that a GraphQL query may ask for, each item of a list counted by itself."""
    flags: int = 200
    """Most feature flags of a store."""
    flag_bytes: int = 262_144
    """Most that all of a store's flags may have together, as JSON; every process keeps them."""
    flag_depth: int = 8
    """Over how many steps flags may wait for each other."""
    change_outcome_seconds: float = 300.0
    """A change that a service began and has not said the end of for so long is in the audit trail as one of unknown
    outcome; longer than any request takes."""
    flag_stale_days: int = 30
    """A flag that nobody has asked for, or changed, for so long is called stale."""
