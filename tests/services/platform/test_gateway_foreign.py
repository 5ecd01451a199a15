"""Ways in for other people's software: their own paths at the door, keys where their clients put them."""

import base64

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


def basic(user: str, password: str = "") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize("path", ["/v1/batch", "/api/v1/batch"])
async def test_a_key_as_user_name_is_the_key(platform, path):
    status, _, seen = await platform.ask("POST", path, headers=basic(platform.first.publishable_key), data=b"{}")

    assert (status, seen["path"]) == (200, "/v1/batch")
    principal = platform.verifier.verify(seen["headers"]["x-recoup-identity"])
    assert principal.kind == "publishable_key"
    assert "authorization" not in seen["headers"]


async def test_without_a_key_in_the_headers_the_service_may_look_into_the_body(platform):
    status, _, seen = await platform.ask("POST", "/v1/track", data=b"{}")

    assert status == 200
    assert "x-recoup-identity" not in seen["headers"]
    assert (await platform.ask("POST", "/v1/track", headers=basic("rk_live_made_up"), data=b"{}"))[0] == 401


@pytest.mark.parametrize("path", ["/webhooks/shopify/s", "/api/webhooks/woocommerce/s"])
async def test_a_platforms_webhook_needs_no_key_and_what_it_brings_means_nothing(platform, path):
    status, _, seen = await platform.ask("POST", path, key="rk_live_made_up", data=b"{}")

    assert (status, seen["path"]) == (200, path.removeprefix("/api"))
    assert "x-recoup-identity" not in seen["headers"]


@pytest.mark.parametrize("path", ["/webhooks/secrets", "/api/webhooks/deliveries", "/webhooks/%73hopify/s"])
async def test_all_else_about_webhooks_asks_for_an_identity(platform, path):
    assert (await platform.ask("GET", path))[0] == 401


async def test_pages_of_any_shop_may_call_segments_paths(platform):
    headers = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    status, answered, _ = await platform.ask("OPTIONS", "/v1/t", headers=headers)

    assert (status, answered["Access-Control-Allow-Origin"]) == (204, "*")


async def test_our_services_learn_whose_a_key_is_and_nobody_else_does(platform):
    key = platform.first.publishable_key
    inside = {"X-Recoup-Identity": platform.deps.peers.identity.token()}

    status, _, principal = await platform.ask("POST", "/internal/keys", headers=inside, json={"key": key})
    assert (status, list(principal["stores"])) == (200, [platform.first.store_id])
    assert (await platform.ask("POST", "/internal/keys", headers=inside, json={"key": key + "x"}))[0] == 401
    assert (await platform.ask("POST", "/internal/keys", json={"key": key}))[0] == 401
    assert (await platform.ask("POST", "/api/internal/keys", key=platform.first.secret_key, json={"key": key}))[
        0
    ] == 404
