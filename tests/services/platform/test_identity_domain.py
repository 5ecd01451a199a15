"""Which keys are in force, by what attempts are counted, who may give which role, what a password must not be."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kit.authenticator import totp_code

from recoup.kit.config import new_secret
from recoup.kit.totp import new_totp_secret, totp_step
from recoup.messages.access import GRANTS, Role
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.domain import SKEW, SigningKey

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)
SEED = new_secret()
MINUTES = st.lists(st.integers(-3_000, 3_000), min_size=1, max_size=6, unique=True)


def keys(minutes: list[int]) -> list[SigningKey]:
    return [
        SigningKey(id=UUID(int=number), seed=SEED, signs_from=NOON + timedelta(minutes=at))
        for number, at in enumerate(minutes)
    ]


@given(minutes=MINUTES, since=st.integers(0, 15 * 60 - 1))
def test_the_key_of_any_token_that_has_not_ended_is_trusted(minutes: list[int], since: int):
    signed_with = domain.signing(keys(minutes), NOON - timedelta(seconds=since))
    trusted = domain.trusted(keys(minutes), NOON, LIFETIME)
    assert signed_with is None or signed_with in trusted


@given(minutes=MINUTES)
def test_a_key_is_no_longer_trusted_once_its_last_token_has_ended(minutes: list[int]):
    for key in domain.trusted(keys(minutes), NOON, LIFETIME):
        after = [other.signs_from for other in keys(minutes) if other.signs_from > key.signs_from]
        assert not after or min(after) + LIFETIME + SKEW > NOON


@given(minutes=MINUTES)
def test_a_key_that_has_not_begun_is_trusted_and_does_not_sign(minutes: list[int]):
    coming = [key for key in keys(minutes) if key.signs_from > NOON]
    assert set(coming) <= set(domain.trusted(keys(minutes), NOON, LIFETIME))
    assert domain.signing(keys(minutes), NOON) not in coming


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_attempts_are_counted_by_whoever_can_have_an_address(address: str, counted_as: str):
    assert domain.neighbourhood(address) == counted_as


@pytest.mark.parametrize("role", Role)
def test_everybody_may_give_their_own_role_and_none_that_may_do_more(role: Role):
    may_give = domain.givable(GRANTS[role])
    assert role in may_give
    assert all(GRANTS[given_role] <= GRANTS[role] for given_role in may_give)


@given(randomness=st.binary(min_size=16, max_size=16))
def test_a_recovery_code_is_the_same_however_it_is_typed(randomness: bytes):
    code = domain.recovery_code(randomness)
    plain = domain.plain_code(code)
    assert len(plain) == domain.RECOVERY_SIGNS
    assert domain.plain_code(f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')}") == plain


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("short", ["password_short"]),
        ("ada", ["password_short"]),
        ("my Ada.Lovelace@Example.com", ["password_like_email"]),
        ("ADA.LOVELACE-74", ["password_like_email"]),
        ("long enough it is", []),
    ],
)
def test_what_a_password_must_not_be(password: str, codes: list[str]):
    problems = domain.password_problems(password, "ada.lovelace@example.com", 12)
    assert [problem.code for problem in problems] == codes


@pytest.mark.parametrize(("seconds", "taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_counts_for_a_device_whose_clock_is_a_little_off(seconds: int, taken: bool):
    secret = new_totp_secret()
    step = totp_step(secret, totp_code(secret, NOON + timedelta(seconds=seconds)), NOON)
    assert (step is not None) == taken


@pytest.mark.parametrize("code", ["", "12345", "1234567", "käse", "١٢٣٤٥٦", "\0"])
def test_what_is_no_code_is_none(code: str):
    assert totp_step(new_totp_secret(), code, NOON) is None
