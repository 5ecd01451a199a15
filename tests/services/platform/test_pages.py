"""What browsers get: console, shop, script, docs; and how the house is."""

import json

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/console/main.js", "text/javascript; charset=utf-8"),
        ("/console/styles/base.css", "text/css; charset=utf-8"),
        ("/sdk/recoup.js", "text/javascript; charset=utf-8"),
        ("/shop", "text/html; charset=utf-8"),
        ("/shop/products.json", "application/json"),
    ],
)
async def test_files_come_with_their_type_and_are_asked_for_anew_only_when_changed(platform, path, kind):
    status, headers, _ = await platform.ask("GET", path)
    assert status == 200
    assert headers["Content-Type"] == kind
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, again, body = await platform.ask("GET", path, headers={"If-None-Match": headers["ETag"]})
    assert (status, body, again["ETag"]) == (304, "", headers["ETag"])


async def test_the_console_takes_nothing_from_elsewhere_and_stands_in_no_frame(platform):
    _, headers, _ = await platform.ask("GET", "/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_the_script_may_be_included_by_any_site(platform):
    _, headers, _ = await platform.ask("GET", "/sdk/recoup.js")
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/console/%2e%2e/app.py", "/console/..%2fapp.py", "/console/__init__.py", "/console/", "/console/a%00.js"]
)
async def test_nothing_else_is_served(platform, path):
    status, _, _ = await platform.ask("GET", path)
    assert status == 404


async def test_the_demo_shop_learns_the_publishable_key_and_nothing_more(platform):
    _, _, known = await platform.ask("GET", "/shop/config.json")
    assert known == {"store_id": platform.first.store_id, "publishable_key": platform.first.publishable_key}


async def describing(scope, receive, send):
    operation = {"operationId": "Read", "summary": "Read <it>", "responses": {}}
    reference = {"$ref": "#/components/schemas/Thing"}
    document = {
        "paths": {"/things": {"get": {**operation, "x": reference}}, "/internal/jobs": {"get": operation}},
        "components": {"schemas": {"Thing": {"type": "object"}}},
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


async def test_the_docs_list_what_can_be_asked_from_outside(platform):
    platform.peer.app = describing
    _, _, document = await platform.ask("GET", "/docs/openapi.json")
    assert {"/api/things", "/api/auth/login", "/api/config"} <= set(document["paths"])
    assert not [path for path in document["paths"] if "internal" in path or "metrics" in path]
    reference = document["paths"]["/api/things"]["get"]["x"]["$ref"].rpartition("/")[2]
    assert reference in document["components"]["schemas"]
    status, _, page = await platform.ask("GET", "/docs")
    assert status == 200
    assert "/api/things" in page
    assert "Read &lt;it&gt;" in page


async def test_the_platform_is_ready_when_everybody_is(platform):
    assert (await platform.ask("GET", "/health/ready"))[0] == 200
    platform.deps.peers.addresses["scheduler"] = "http://127.0.0.1:9"
    status, _, health = await platform.ask("GET", "/health/ready")
    assert (status, health["checks"]["ai"]) == (503, "ok")
    assert health["checks"]["scheduler"] != "ok"
    status, _, detailed = await platform.ask("GET", "/health/detailed")
    assert (status, detailed["status"]) == (200, "unavailable")
    assert {part["name"] for part in detailed["services"]} > {"postgresql", "valkey", "ai", "scheduler"}
    assert (await platform.ask("GET", "/health"))[0] == 200
