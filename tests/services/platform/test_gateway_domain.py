"""What the gateway decides without asking anybody."""

import pytest

from recoup.services.platform.gateway import domain

TRUSTED = frozenset({"10.0.0.1", "10.0.0.2"})


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("1.2.3.4", "", "1.2.3.4"),
        ("1.2.3.4", "6.6.6.6", "1.2.3.4"),  # anybody can write a header
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),  # what stood there before our proxies is not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", " , ", "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_are_believed_about_who_asks(peer, forwarded_for, client):
    assert domain.client_address(peer, forwarded_for, TRUSTED) == client
