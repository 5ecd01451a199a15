"""Secret settings by reference: found where they are kept, said clearly where they are not, and never written down."""

from pathlib import Path

import msgspec
import pytest
from tests.kit.vault_server import FakeVault, Lease, serving

from recoup.kit.config import Secret
from recoup.kit.errors import Invalid, Unavailable
from recoup.kit.secrets import SecretUrl, opened
from recoup.kit.vault import VaultSettings

VALUE = "s3cret-value-nobody-may-see"
JWT = "eyJ.service-account.jwt"
TOKEN = "hvs.root-token"


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    token: Secret = Secret("")
    name: str = "file:/not/a/secret"


class Some(msgspec.Struct, frozen=True, kw_only=True):
    key: Secret = Secret("")
    url: SecretUrl = ""
    inner: Inner = Inner()


async def resolved(settings: Some, environ: dict[str, str] | None = None, vault: VaultSettings | None = None) -> Some:
    async with opened(environ or {}, vault or VaultSettings()) as secrets:
        return await secrets.resolved(settings)


@pytest.fixture
def kept() -> FakeVault:
    return FakeVault(tokens={TOKEN: Lease(3600)}, secrets={"kv/shop/one": [{"key": "old"}, {"key": VALUE, "port": 1}]})


async def test_what_is_no_reference_is_the_secret_itself():
    settings = Some(key=Secret("plain:text"), url="postgresql://me@host/db", inner=Inner(token=Secret("x")))
    assert await resolved(settings) == settings


async def test_a_reference_is_followed_wherever_a_secret_stands_and_nowhere_else(tmp_path: Path):
    (tmp_path / "secret").write_text(VALUE + "\n")
    given = Some(key=Secret("env:THE_KEY"), url=f"file:{tmp_path}/secret", inner=Inner(token=Secret("env:OTHER")))
    found = await resolved(given, {"THE_KEY": VALUE, "OTHER": "o"})
    assert (found.key.reveal(), found.url, found.inner.token.reveal()) == (VALUE, VALUE, "o")
    assert found.inner.name == "file:/not/a/secret"
    assert VALUE not in f"{found.key} {found.key!r}"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NOWHERE", "the environment has no NOWHERE"),
        ("env:EMPTY", "the environment has no EMPTY"),
        ("file:relative", "whole path"),
        ("file:/nowhere/at/all", "No such file"),
        ("file:{folder}/empty", "is empty"),
        ("file:{folder}/long", "is longer than"),
        ("file:{folder}/bytes", "is not text"),
        ("file:{folder}", "cannot be read"),
        ("vault:kv/shop/one#key", "vault.address is not set"),
    ],
)
async def test_what_is_not_there_is_said_with_the_settings_name(tmp_path: Path, reference: str, said: str):
    (tmp_path / "empty").touch()
    (tmp_path / "long").write_text("x" * 70_000)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    reference = reference.format(folder=tmp_path)
    with pytest.raises(Invalid) as refused:
        await resolved(Some(inner=Inner(token=Secret(reference))), {"EMPTY": ""})
    assert f"inner.token ({reference})" in refused.value.detail
    assert said in refused.value.detail


@pytest.mark.parametrize("auth", ["token", "token from a file", "kubernetes"])
async def test_a_field_is_read_from_vault_however_we_sign_in(kept: FakeVault, tmp_path: Path, auth: str):
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "jwt").write_text(JWT)
    kept.jwts = {JWT: {"recoup": Lease(3600)}}
    kept.namespace = "team"
    async with serving(kept):
        settings = {
            "token": VaultSettings(address=kept.url, namespace="team", token=Secret(TOKEN)),
            "token from a file": VaultSettings(
                address=kept.url, namespace="team", token=Secret(f"file:{tmp_path}/token")
            ),
            "kubernetes": VaultSettings(
                address=kept.url, namespace="team", auth="kubernetes", role="recoup", jwt_file=str(tmp_path / "jwt")
            ),
        }[auth]
        found = await resolved(Some(key=Secret("vault:kv/shop/one#key")), vault=settings)
    assert found.key.reveal() == VALUE


async def test_a_place_without_a_field_is_refused(kept: FakeVault):
    async with serving(kept):
        with pytest.raises(Invalid, match=r"key \(vault:kv/shop/one\): .*mount/path#field"):
            await resolved(
                Some(key=Secret("vault:kv/shop/one")), vault=VaultSettings(address=kept.url, token=Secret(TOKEN))
            )


async def test_a_vault_that_is_away_is_unavailable():
    settings = VaultSettings(address="http://127.0.0.1:9", token=Secret(TOKEN))
    with pytest.raises(Unavailable, match="Vault does not answer"):
        await resolved(Some(key=Secret("vault:kv/shop/one#key")), vault=settings)


@pytest.mark.parametrize("missing", [{"auth": "token"}, {"auth": "kubernetes"}])
async def test_a_sign_in_that_cannot_work_stops_the_start(missing: dict[str, str]):
    settings = msgspec.convert({"address": "http://127.0.0.1:9", **missing}, VaultSettings)
    with pytest.raises(Invalid, match=r"vault\.(token|role) is missing"):
        await resolved(Some(), vault=settings)
