"""One's own account: sign-ins one can see and end, a second factor, new passwords."""

import pytest
from tests.services.platform.people import GOOD, Somebody, anybody, code, enrolled, somebody, works

from recoup.kit.config import Secret

pytestmark = pytest.mark.asyncio(loop_scope="module")

# --- sign-ins ---------------------------------------------------------------------------------------------------------


async def test_sign_ins_are_listed_and_one_that_is_ended_is_over_everywhere(platform):
    who = await somebody(platform)
    status, _, phone = await platform.ask(
        "POST", "/api/auth/login", json={"email": who.email, "password": who.password},
        headers={"User-Agent": "Phone of mine"},
    )  # fmt: skip
    assert status == 200
    desk = await who.tokens()
    _, seen = await who.ask("GET", "/api/auth/sessions", desk["access_token"])
    assert [each["is_current"] for each in seen["items"]] == [True, False]
    assert (seen["items"][1]["device"], seen["items"][1]["address"]) == ("Phone of mine", "127.0.0.1")
    path = f"/api/auth/sessions/{seen['items'][1]['id']}"
    assert (await who.ask("DELETE", path, desk["access_token"]))[0] == 204
    assert not await works(who, phone)
    assert await works(who, desk)
    assert (await who.ask("DELETE", path, desk["access_token"]))[0] == 404


@pytest.mark.parametrize(("which", "here"), [("others", True), ("all", False)])
async def test_all_sign_ins_can_be_ended_here_too_or_not(platform, which, here):
    who = await somebody(platform)
    others, mine = [await who.tokens() for _ in range(2)], await who.tokens()
    assert (await who.ask("DELETE", f"/api/auth/sessions?which={which}", mine["access_token"]))[0] == 204
    assert [await works(who, tokens) for tokens in (*others, mine)] == [False, False, here]


async def test_nobody_ends_a_sign_in_of_somebody_else(platform):
    one, other = await somebody(platform), await somebody(platform)
    theirs = await other.tokens()
    _, seen = await other.ask("GET", "/api/auth/sessions", theirs["access_token"])
    path = f"/api/auth/sessions/{seen['items'][0]['id']}"
    assert (await one.ask("DELETE", path, (await one.tokens())["access_token"]))[0] == 404
    assert await works(other, theirs)


async def test_a_key_has_no_sign_ins(platform):
    status, _, problem = await platform.ask("GET", "/api/auth/sessions", key=platform.first.secret_key)
    assert (status, problem["code"]) == (403, "person_needed")


# --- the second factor ------------------------------------------------------------------------------------------------


async def test_a_second_factor_is_asked_for_once_it_is_confirmed(platform):
    who = await somebody(platform)
    key = (await who.tokens())["access_token"]
    _, enrolment = await who.ask("POST", "/api/auth/second-factor", key, json={"password": who.password})
    assert enrolment["uri"].startswith("otpauth://totp/Recoup:")
    assert (await who.login())[0] == 200
    wrong = {"code": "000000" if code(Secret(enrolment["secret"])) != "000000" else "111111"}
    assert (await who.ask("POST", "/api/auth/second-factor/confirm", key, json=wrong))[0] == 403
    secret, codes, _ = await enrolled(who)
    assert len(set(codes)) == 10
    status, problem = await who.login()
    assert (status, problem["code"]) == (401, "second_factor_required")
    assert (await who.login(code=code(secret, steps=1)))[0] == 200
    assert (await who.ask("GET", "/api/auth/me", key))[1]["second_factor"] is True


async def test_a_code_works_once_and_so_does_a_recovery_code_however_it_is_typed(platform):
    who = await somebody(platform)
    secret, codes, _ = await enrolled(who)
    assert (await who.login(code=code(secret)))[1]["code"] == "second_factor_wrong"  # it confirmed the factor
    later = code(secret, steps=1)
    answers = [await who.login(code=given) for given in (later, later, codes[0], codes[0], codes[1].lower())]
    assert [status for status, _ in answers] == [200, 401, 200, 401, 200]


async def test_who_does_not_know_the_password_does_not_learn_of_a_second_factor(platform):
    who = await somebody(platform)
    await enrolled(who)
    status, problem = await Somebody(platform, who.email, "wrong").login()
    assert (status, problem["code"]) == (401, "login_failed")


async def test_guessing_codes_is_stopped_for_the_account_even_with_the_right_password(platform):
    who = await somebody(platform)
    secret, _, _ = await enrolled(who)
    wrong = "000000" if code(secret, steps=1) != "000000" else "111111"
    statuses = [(await who.login(code=wrong))[0] for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await who.login(code=code(secret, steps=1)))[0] == 429


async def test_a_second_factor_is_given_up_with_password_and_code_only(platform):
    who = await somebody(platform)
    secret, codes, key = await enrolled(who)
    path = "/api/auth/second-factor/disable"
    assert (await who.ask("POST", path, key, json={"password": "wrong", "code": codes[0]}))[0] == 403
    assert (await who.ask("POST", path, key, json={"password": who.password, "code": "123"}))[0] == 403
    right = {"password": who.password, "code": code(secret, steps=1)}
    assert (await who.ask("POST", path, key, json=right))[0] == 204
    assert (await who.login())[0] == 200


async def test_new_recovery_codes_end_the_old_ones(platform):
    who = await somebody(platform)
    _, old, key = await enrolled(who)
    proof = {"password": who.password, "code": old[0]}
    status, new = await who.ask("POST", "/api/auth/second-factor/recovery-codes", key, json=proof)
    assert status == 201
    assert [(await who.login(code=given))[0] for given in (old[1], new["codes"][0])] == [401, 200]


# --- passwords --------------------------------------------------------------------------------------------------------

WEAK = {
    "short": ("k9#xQ2$v", "password_short"),
    "common": ("password1234", "password_common"),
    "a common one in disguise": ("P@ssw0rd1234", "password_common"),
    "keys side by side": ("qwertyuiop12", "password_common"),
    "the name of the thing": ("recouprecoup", "password_common"),
}


@pytest.mark.parametrize(("weak", "rule"), WEAK.values(), ids=WEAK)
async def test_a_weak_password_is_refused_with_the_rule_it_breaks(platform, weak, rule):
    who = await anybody(platform)
    body = {"current_password": who.password, "new_password": weak}
    status, problem = await who.ask("POST", "/api/auth/password", (await who.tokens())["access_token"], json=body)
    assert (status, [each["code"] for each in problem["problems"]]) == (400, [rule])


async def test_a_password_does_not_hold_ones_own_address(platform):
    who = await anybody(platform)
    body = {"current_password": who.password, "new_password": f"-{who.email.partition('@')[0]}-{GOOD}"}
    status, problem = await who.ask("POST", "/api/auth/password", (await who.tokens())["access_token"], json=body)
    assert (status, [each["code"] for each in problem["problems"]]) == (400, ["password_like_email"])


async def test_another_password_ends_the_other_sign_ins_and_the_old_password(platform):
    who = await somebody(platform)
    other, here = await who.tokens(), await who.tokens()
    body = {"current_password": who.password, "new_password": GOOD}
    assert (await who.ask("POST", "/api/auth/password", here["access_token"], json=body))[0] == 204
    assert (await works(who, other), await works(who, here)) == (False, True)
    assert (await who.login())[0] == 401
    assert (await Somebody(platform, who.email, GOOD).login())[0] == 200


async def test_a_password_is_the_same_however_unicode_spells_it(platform):
    who = await somebody(platform)
    body = {"current_password": who.password, "new_password": "sch\u00f6ner-Lampion-74"}
    key = (await who.tokens())["access_token"]
    assert (await who.ask("POST", "/api/auth/password", key, json=body))[0] == 204
    assert (await Somebody(platform, who.email, "scho\u0308ner-Lampion-74").login())[0] == 200


async def test_an_open_screen_is_no_way_to_guess_a_password(platform):
    who = await anybody(platform)
    key = (await who.tokens())["access_token"]
    body = {"current_password": "wrong", "new_password": GOOD}
    statuses = [(await who.ask("POST", "/api/auth/password", key, json=body))[0] for _ in range(6)]
    assert statuses == [403] * 5 + [429]
