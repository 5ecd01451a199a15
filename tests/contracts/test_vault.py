"""What our client makes of Vault: the same of our stand-in as of the real server, which `RECOUP_VAULT_BINARY` names."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from tests.contracts import vaults
from tests.contracts.vaults import JWT, Desk
from tests.contracts.waiting import PATIENCE_SECONDS, until

from recoup.kit.config import Secret
from recoup.kit.errors import Failure, Invalid, Unavailable
from recoup.kit.secrets import Secrets, opened
from recoup.kit.telemetry import configure_logs
from recoup.kit.vault import Vault, VaultSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
VALUE = "s3cret-value-nobody-may-see"
OPENERS = {"stand-in": vaults.stand_in, **({"real": vaults.real} if vaults.BINARY else {})}


class Some(msgspec.Struct, frozen=True, kw_only=True):
    key: Secret = Secret("")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=OPENERS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with OPENERS[request.param]() as opened_desk:
        await opened_desk.keep("shop/one", {"key": "old"})
        await opened_desk.keep("shop/one", {"key": VALUE, "port": 1})
        await opened_desk.keep("shop/gone", {"key": VALUE})
        await opened_desk.delete("shop/gone")
        await opened_desk.keep("other/one", {"key": VALUE})
        yield opened_desk


@pytest.fixture
def jwt_file(tmp_path: Path) -> str:
    (tmp_path / "jwt").write_text(JWT)
    return str(tmp_path / "jwt")


def by_account(desk: Desk, jwt_file: str, role: str = "recoup") -> VaultSettings:
    return VaultSettings(address=desk.url, auth="kubernetes", role=role, jwt_file=jwt_file, refresh_seconds=0.1)


async def by_token(desk: Desk) -> VaultSettings:
    return VaultSettings(address=desk.url, token=Secret(await desk.token(60)), refresh_seconds=0.1)


async def read(settings: VaultSettings, place: str) -> str:
    async with opened({}, settings) as secrets:
        return (await secrets.resolved(Some(key=Secret(f"vault:{place}")))).key.reveal()


@asynccontextmanager
async def watching(settings: VaultSettings) -> AsyncGenerator[Vault]:
    """A client that has read the secret, and stays signed in."""
    async with opened({}, settings) as secrets:
        vault = demanded(secrets)
        assert (await vault.read("kv/shop/one#key")).reveal().startswith(VALUE)
        task = asyncio.create_task(vault.watch())
        try:
            yield vault
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def demanded(secrets: Secrets) -> Vault:
    assert secrets.vault is not None
    return secrets.vault


async def test_the_newest_version_is_read_by_a_token(desk: Desk):
    assert await read(await by_token(desk), "kv/shop/one#key") == VALUE


async def test_the_newest_version_is_read_by_a_service_account(desk: Desk, jwt_file: str):
    assert await read(by_account(desk, jwt_file), "kv/shop/one#key") == VALUE


BROKEN = {
    "no such path": ("kv/shop/two#key", "Vault has nothing there"),
    "no such field": ("kv/shop/one#word", "its fields: key, port"),
    "no text": ("kv/shop/one#port", "no text under 'port'"),
    "deleted": ("kv/shop/gone#key", "deleted"),
    "forbidden": ("kv/other/one#key", "403"),
    "no such mount": ("nowhere/shop/one#key", "403"),
}


@pytest.mark.parametrize(("place", "said"), BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_read_is_said_without_what_is_known(desk: Desk, place: str, said: str):
    settings = await by_token(desk)
    with pytest.raises(Invalid) as refused:
        await read(settings, place)
    assert said in refused.value.detail
    assert f"key (vault:{place})" in refused.value.detail
    assert not [known for known in (VALUE, settings.token.reveal()) if known in refused.value.detail]


@pytest.mark.parametrize("role", ["nobody", "recoup"])
async def test_a_sign_in_that_is_refused_says_so(desk: Desk, tmp_path: Path, role: str):
    forged = JWT.rpartition(".")[0] + ".Zm9yZ2Vk"
    (tmp_path / "jwt").write_text(forged)
    with pytest.raises(Invalid, match=r"Vault answered 40[03] to POST /v1/auth/kubernetes/login") as refused:
        await read(by_account(desk, str(tmp_path / "jwt"), role), "kv/shop/one#key")
    assert forged not in refused.value.detail


async def test_a_token_nobody_knows_is_refused(desk: Desk):
    with pytest.raises(Invalid, match="permission denied"):
        await read(VaultSettings(address=desk.url, token=Secret("hvs.unknown")), "kv/shop/one#key")


async def test_a_token_is_renewed_long_before_it_ends(desk: Desk):
    settings = await by_token(desk)
    first = await desk.ends(settings.token.reveal())
    async with watching(settings):

        async def lasts_longer() -> bool:
            return await desk.ends(settings.token.reveal()) >= first + 1

        await until(lasts_longer)


async def test_a_sign_in_that_was_revoked_is_made_anew(desk: Desk, jwt_file: str):
    async with watching(by_account(desk, jwt_file)) as vault:
        before = await desk.logins()
        await desk.revoke_logins()

        async def reads_again() -> bool:
            with suppress(Failure):
                return await desk.logins() > before and bool(await vault.read("kv/shop/one#key"))
            return False

        await until(reads_again)


async def test_a_sign_in_that_cannot_last_longer_is_made_anew(desk: Desk, jwt_file: str):
    before = await desk.logins()
    async with watching(by_account(desk, jwt_file, "hasty")):

        async def came_again() -> bool:
            return await desk.logins() >= before + 3

        await until(came_again)


async def test_a_sealed_vault_is_unavailable_and_forgets_nobody(desk: Desk):
    settings = await by_token(desk)
    async with watching(settings) as vault:
        await desk.seal()
        try:
            with pytest.raises(Unavailable, match="Vault is sealed"):
                await vault.read("kv/shop/one#key")
        finally:
            await desk.unseal()

        async def reads_again() -> bool:
            with suppress(Unavailable):
                return bool(await vault.read("kv/shop/one#key"))
            return False

        await until(reads_again)


async def test_a_secret_that_changes_is_told_of_and_never_shown(desk: Desk, capfd: pytest.CaptureFixture[str]):
    configure_logs("test", "DEBUG")
    logging.getLogger("aiohttp.client").setLevel(logging.DEBUG)
    settings = await by_token(desk)
    said = ""
    async with watching(settings), asyncio.timeout(PATIENCE_SECONDS):
        await desk.keep("shop/one", {"key": VALUE + "-2"})
        while "a secret has changed" not in said:
            said += capfd.readouterr().err
            await asyncio.sleep(0.05)
    assert '"version": 3' in said
    assert not [secret for secret in (VALUE, settings.token.reveal()) if secret in said]
