"""Brings a service's PostgreSQL schema up to date with Alembic.

Each service has its own schema, scripts and version table.
"""

from functools import partial
from importlib.resources import files

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from recoup.kit.errors import Unavailable


def asyncpg_url(url: str) -> str:
    """A PostgreSQL URL with the driver SQLAlchemy should take."""
    return "postgresql+asyncpg://" + url.split("://", 1)[1]


async def migrate(url: str, schemas: list[str]) -> None:
    """Upgrades each schema to its newest version, made first where it is new; raises Unavailable without a database."""
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    try:
        for schema in schemas:
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade, schema)
    except OSError as error:
        raise Unavailable(f"postgresql does not answer: {error}") from error
    finally:
        await engine.dispose()


def _steps(script: ScriptDirectory, revision: str, _: MigrationContext) -> list[RevisionStep]:
    """From `revision` to the newest; what Alembic's own `upgrade` command does."""
    return script._upgrade_revs("head", revision)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _upgrade(connection: Connection, schema: str) -> None:
    location = str(files("recoup") / "migrations" / "postgres" / schema)
    config = Config()
    config.set_main_option("script_location", location)
    script = ScriptDirectory(location, version_locations=[location + "/versions"])
    # The name comes from our own list of services, never from input; identifiers cannot be parameters.
    connection.execute(text(f'create schema if not exists "{schema}"'))
    connection.execute(text(f'set search_path to "{schema}"'))
    # Two processes that start at once take turns.
    connection.execute(text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": f"recoup-migrate-{schema}"})
    context = EnvironmentContext(config, script)
    context.configure(
        connection=connection,
        version_table_schema=schema,
        fn=partial(_steps, script),
    )
    context.run_migrations()
