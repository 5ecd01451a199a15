"""What somebody types at night who fears for a signing key: the program itself, against a running platform."""

import asyncio
import io
import sys

import pytest
from tests.services.platform.people import enrolled, somebody

from recoup.__main__ import main

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def typed(platform, monkeypatch, capsys):
    """Runs a command with lines of input; its status, and what it said."""

    async def run(*arguments: str, lines: tuple[str, ...] = ()) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        status = await asyncio.to_thread(main, [*arguments, "--url", platform.url])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


async def kid_in_force(platform) -> str:
    _, _, published = await platform.ask("GET", "/.well-known/paseto-keys")
    return published["keys"][-1]["kid"]


async def test_a_second_factor_is_asked_for_and_whoever_is_no_owner_is_refused(platform, typed):
    who = await somebody(platform)
    _, recovery, _ = await enrolled(who)
    kid = await kid_in_force(platform)
    proof = (who.password, recovery[0])
    status, said = await typed("distrust", kid, "--email", who.email, "--yes", lines=proof)
    assert (status, await kid_in_force(platform)) == (1, kid)
    assert "signing:write" in said


async def test_a_key_is_shown_and_distrusted_and_the_trail_says_by_whom(platform, typed):
    kid, stolen = await kid_in_force(platform), (await platform.login())["access_token"]
    assert f"{kid}  signs, since" in (await typed("signing-keys"))[1]

    proof = ("yes", platform.first.admin_password)
    status, said = await typed("distrust", kid, "--email", platform.first.admin_email, lines=proof)

    assert (status, kid in await kid_in_force(platform)) == (0, False), said
    assert (await platform.ask("GET", "/api/auth/me", key=stolen))[2]["code"] == "token_invalid"
    fresh = (await platform.login())["access_token"]
    _, _, me = await platform.ask("GET", "/api/auth/me", key=fresh)
    _, _, trail = await platform.ask("GET", "/api/audit-logs?limit=10", key=fresh)
    done = [(line["action"], line["actor"]) for line in trail["items"]]
    assert ("signing_key_distrusted", me["subject"]) in done
    # Its own sign-in does not stay behind: what is left are the two of this test.
    assert done.count(("logout", me["subject"])) == 1


@pytest.mark.parametrize(
    ("more", "lines", "why"),
    [((), ("no",), "nothing was done"), ((), (), "nothing was done"),
     (("--yes",), ("not the password",), "e-mail or password is wrong (401)")],
    ids=["no", "nobody there", "another password"],
)  # fmt: skip
async def test_without_a_yes_and_the_password_nothing_happens(platform, typed, more, lines, why):
    kid = await kid_in_force(platform)
    status, said = await typed("distrust", kid, "--email", platform.first.admin_email, *more, lines=lines)
    assert (status, await kid_in_force(platform)) == (1, kid)
    assert why in said


async def test_a_key_that_is_not_in_force_is_said_to_be_none_beside_those_that_are(platform, typed):
    status, said = await typed("distrust", "k4.pid.mistyped", "--email", platform.first.admin_email, "--yes")
    assert status == 1
    assert await kid_in_force(platform) in said
