"""What the gateway decides without asking anybody."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from recoup.kit.errors import Invalid
from recoup.services.platform.gateway import domain
from recoup.services.platform.gateway.actions import Routes

SERVICES = ("ai", "intelligence")
TRUSTED = domain.networks("10.0.0.1, 10.0.0.2, 10.8.0.0/16, fd00::/8")


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
        ("10.8.3.4", "6.6.6.6, 1.2.3.4, fd00::7", "1.2.3.4"),
        ("::ffff:10.8.3.4", "1.2.3.4", "1.2.3.4"),
        ("10.9.0.1", "1.2.3.4", "10.9.0.1"),
        ("10.0.0.1", "1.2.3.4, unknown", "unknown"),
        ("", "1.2.3.4", ""),
    ],
)
def test_only_trusted_proxies_are_believed_about_who_asks(peer, forwarded_for, client):
    assert domain.client_address(peer, forwarded_for, TRUSTED) == client


def test_nobody_is_trusted_by_default():
    assert domain.client_address("10.0.0.1", "1.2.3.4", domain.networks("")) == "10.0.0.1"


@pytest.mark.parametrize("written", ["10.0.0.256", "proxy.example", "10.0.0.1/8"])
def test_trusted_proxies_that_are_no_addresses_stop_the_start(written):
    with pytest.raises(Invalid, match="trusted_proxies"):
        domain.networks(written)


def test_routes_can_be_added_changed_and_closed():
    table = domain.laid_over({"scores": "ai", "training": ""}, SERVICES)
    assert domain.way("/api/scores/1", table) == domain.Way("scores", "ai", "/scores/1")
    assert domain.way("/api/training", table) is None
    assert domain.way("/api/carts", table) == domain.Way("carts", "intelligence", "/carts")
    assert domain.way("/api/stores", table) == domain.Way("stores", None, "/stores")


@pytest.mark.parametrize(
    "changed", [{"x": "nobody"}, {"internal": "ai"}, {"": "ai"}, {"a/b": "ai"}, {"%69nternal": "ai"}]
)
def test_a_route_that_leads_nowhere_is_refused(changed):
    with pytest.raises(Invalid):
        domain.laid_over(changed, SERVICES)


async def test_routes_change_without_a_restart_and_nonsense_changes_nothing(tmp_path: Path):
    file = tmp_path / "routes.json"
    file.write_text('{"scores": "ai"}')
    routes = Routes(file, SERVICES)
    watching = asyncio.ensure_future(routes.watch())
    async with asyncio.timeout(60):
        while "scores" not in routes.table:
            await asyncio.sleep(0.01)
        file.write_text('{"scores": "nobody"}')
        while not routes.fault:
            await asyncio.sleep(0.01)
        assert routes.table["scores"] == "ai"
        file.write_text('{"points": "ai"}')
        while "points" not in routes.table:
            await asyncio.sleep(0.01)
    assert "scores" not in routes.table
    assert not routes.fault
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
