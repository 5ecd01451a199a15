"""What is sealed opens in its place, with this installation's key, and nowhere else."""

import pytest

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Unavailable
from recoup.kit.sealing import Sealer, derived_secret

KEY = new_secret()
SECRET = Secret("shpss_123")


def test_what_is_sealed_is_opened_again_by_any_process_of_the_installation() -> None:
    sealed = Sealer(KEY, "test").seal(SECRET, "shop/shopify")

    assert Sealer(KEY, "test").open(sealed, "shop/shopify").reveal() == "shpss_123"
    assert b"shpss" not in sealed


@pytest.mark.parametrize(
    ("key", "purpose", "place"),
    [(KEY, "test", "another/shopify"), (KEY, "another", "shop/shopify"), (new_secret(), "test", "shop/shopify")],
    ids=["another place", "another purpose", "another key"],
)
def test_it_opens_nowhere_else(key: Secret, purpose: str, place: str) -> None:
    sealed = Sealer(KEY, "test").seal(SECRET, "shop/shopify")

    with pytest.raises(Unavailable):
        Sealer(key, purpose).open(sealed, place)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealer = Sealer(KEY, "test")

    assert sealer.seal(SECRET, "p") != sealer.seal(SECRET, "p")


def test_derived_secrets_are_the_same_for_a_purpose_and_print_as_stars() -> None:
    assert derived_secret(KEY, "a").reveal() == derived_secret(KEY, "a").reveal() != derived_secret(KEY, "b").reveal()
    assert repr(derived_secret(KEY, "a")) == "'***'"
