"""The first start, and every other."""

import asyncio
import json
import stat

import asyncpg
import pytest

from recoup.kit.config import new_secret
from recoup.kit.migrate import migrate
from recoup.services.platform.access.store import digest
from recoup.services.platform.settings import Settings
from recoup.services.platform.wiring import bootstrap


@pytest.fixture
async def deps(database, valkey_url, tmp_path, deps_of):
    await migrate(database, ["platform"])
    deps = deps_of(database, valkey_url, {}, tmp_path, new_secret(), "http://recoup.example")
    yield deps
    await deps.valkey.aclose()
    await deps.log.close()


async def test_the_first_start_tells_everything_in_a_file_for_its_owner_only(deps, tmp_path):
    made = await bootstrap(deps, Settings(admin_email="Me@Example.com", store_name="Tern"))
    file = tmp_path / "first-run.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = json.loads(file.read_text())
    assert made is not None
    assert told == {name: getattr(made, name) for name in made.__struct_fields__}
    assert (told["url"], told["admin_email"]) == ("http://recoup.example", "me@example.com")
    assert told["secret_key"].startswith("rk_live_")
    assert told["publishable_key"].startswith("rk_pub_")


async def test_a_second_start_changes_nothing(deps, tmp_path):
    await bootstrap(deps, Settings())
    before = (tmp_path / "first-run.json").read_bytes()
    assert await bootstrap(deps, Settings()) is None
    assert (tmp_path / "first-run.json").read_bytes() == before


async def test_of_two_that_start_at_once_one_begins_and_its_file_is_true(deps, tmp_path):
    made = await asyncio.gather(bootstrap(deps, Settings()), bootstrap(deps, Settings()))
    assert len([one for one in made if one is not None]) == 1
    told = json.loads((tmp_path / "first-run.json").read_text())
    connection = await asyncpg.connect(deps.postgres_url)
    try:
        stores = await connection.fetch("select id from platform.stores")
        assert [row["id"] for row in stores] == [told["store_id"]]
        digests = {row["digest"] for row in await connection.fetch("select digest from platform.api_keys")}
        assert digests == {digest(told["secret_key"]), digest(told["publishable_key"])}
    finally:
        await connection.close()


async def test_a_crash_between_file_and_commit_is_made_good_by_the_next_start(deps, tmp_path):
    (tmp_path / "first-run.json").write_text('{"secret_key": "from a start that died"}')
    (tmp_path / "first-run.new").write_text("half a file")
    made = await bootstrap(deps, Settings())
    assert made is not None
    assert json.loads((tmp_path / "first-run.json").read_text())["secret_key"] == made.secret_key
