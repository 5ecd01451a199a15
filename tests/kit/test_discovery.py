"""Instances that change while we run, told by a file, by DNS and by Consul; and tellers that talk nonsense."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs

import aiohttp
import pytest
from tests.kit.proxied import listening

from recoup.kit.balancing import Balancer
from recoup.kit.config import Secret
from recoup.kit.discovery import STALE, Discovery, DiscoverySettings, Provider, provider_of
from recoup.kit.errors import Invalid, Unavailable


class ConsulServer:
    """Consul's `/v1/health/service/NAME` as its documents describe it: it waits while `index` is the newest one."""

    def __init__(self) -> None:
        self.index = 7
        self.entries: list[dict[str, object]] = []
        self.raw: bytes | None = None
        self.status = 200
        self.asked: list[dict[str, list[str]]] = []
        self.tokens: list[str] = []
        self.changed = asyncio.Condition()

    async def set(self, *instances: tuple[str, int], index: int | None = None, raw: bytes | None = None) -> None:
        async with self.changed:
            self.index = self.index + 1 if index is None else index
            self.raw = raw
            self.entries = [
                {
                    "Node": {"ID": "x", "Node": "n1", "Address": "10.0.0.9"},
                    "Service": {"ID": f"s{port}", "Service": "recoup-ai", "Address": address, "Port": port, "Tags": []},
                    "Checks": [{"CheckID": "serfHealth", "Status": "passing"}],
                }
                for address, port in instances
            ]
            self.changed.notify_all()

    async def __call__(self, scope, _, send) -> None:
        query = parse_qs(scope["query_string"].decode())
        assert scope["path"] == "/v1/health/service/recoup-ai"
        assert "passing" in query
        self.asked.append(query)
        self.tokens.append(dict(scope["headers"]).get(b"x-consul-token", b"").decode())
        index = int(query.get("index", ["0"])[0])
        wait = float(query.get("wait", ["300000ms"])[0].removesuffix("ms")) / 1000
        if index:
            async with self.changed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait_for(lambda: self.index != index), wait)
        body = self.raw if self.raw is not None else json.dumps(self.entries).encode()
        headers = [(b"content-type", b"application/json"), (b"x-consul-index", str(self.index).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


@asynccontextmanager
async def keeping(provider: Provider | None) -> AsyncGenerator[tuple[Balancer, Discovery]]:
    assert provider is not None
    balancer = Balancer()
    discovery = Discovery(provider, ["ai"], balancer.replace, retry_seconds=0.05, longest_seconds=0.05)
    running = asyncio.ensure_future(discovery.run())
    try:
        yield balancer, discovery
    finally:
        running.cancel()


def repr_short(value: bytes) -> str:
    return repr(value)[2:90]


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def urls(balancer: Balancer) -> list[str]:
    return [instance.url for pool in balancer.pools() for instance in pool.instances]


@asynccontextmanager
async def consul(**settings) -> AsyncGenerator[tuple[ConsulServer, Provider | None]]:
    server = ConsulServer()
    async with listening(server) as url, aiohttp.ClientSession() as http:
        given = DiscoverySettings(url=url.replace("http", "consul", 1), **settings)
        yield server, provider_of(given, lambda: http)


async def test_consul_tells_at_once_what_has_changed():
    async with consul(token=Secret("t0ken")) as (server, provider):
        await server.set(("10.0.0.1", 80), ("", 81))
        async with keeping(provider) as (balancer, _):
            await until(lambda: urls(balancer) == ["http://10.0.0.1:80", "http://10.0.0.9:81"])
            await until(lambda: any("index" in query for query in server.asked))
            await server.set(("10.0.0.2", 80))
            await until(lambda: urls(balancer) == ["http://10.0.0.2:80"])
        assert set(server.tokens) == {"t0ken"}
        waiting = [query for query in server.asked if "index" in query]
        assert waiting[0]["index"] == ["8"]
        assert waiting[0]["wait"] == ["30000ms"]


async def test_consul_is_asked_again_although_nothing_has_changed():
    async with consul(refresh_seconds=0.1) as (server, provider):
        await server.set(("10.0.0.1", 80))
        async with keeping(provider) as (balancer, _):
            await until(lambda: len(server.asked) >= 4)
            assert urls(balancer) == ["http://10.0.0.1:80"]


async def test_an_index_that_goes_back_is_forgotten():
    async with consul() as (server, provider):
        await server.set(("10.0.0.1", 80), index=900)
        async with keeping(provider) as (balancer, _):
            await until(lambda: any(query.get("index") == ["900"] for query in server.asked))
            await server.set(("10.0.0.2", 80), index=3)
            await until(lambda: urls(balancer) == ["http://10.0.0.2:80"] and "index" not in server.asked[-1])
            await server.set(("10.0.0.3", 80), index=4)
            await until(lambda: urls(balancer) == ["http://10.0.0.3:80"])


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>no</html>",
        b"{}",
        b"[]",
        b'[{"Service": {"Port": 0, "Address": "10.0.0.1"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"Service": {"Port": 80, "Address": "10.0.0.1/evil?"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"Service": {"Port": 80}, "Node": {"Address": ""}}]',
        b'[{"Service": {"Port": 80, "Address": "10.0.0.\xff"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"Service": {"Port": 80, "Address": "0.0.0.0"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"Service": {"Port": 80, "Address": "ff02::1"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"Service": {"Port": 80, "Address": "255.255.255.255"}, "Node": {"Address": "10.0.0.1"}}]',
        b'[{"x":' + b"[" * 200_000,
        b"[" + b" " * 9_000_000 + b"]",
    ],
    ids=repr_short,
)
async def test_nonsense_keeps_the_last_good_table_and_says_so(raw):
    async with consul() as (server, provider):
        await server.set(("10.0.0.1", 80))
        async with keeping(provider) as (balancer, discovery):
            await until(lambda: urls(balancer) == ["http://10.0.0.1:80"])
            await server.set(raw=raw)
            await until(lambda: discovery.faults)
            assert urls(balancer) == ["http://10.0.0.1:80"]
            assert STALE.labels("ai")._value.get() == 1
            await server.set(("10.0.0.2", 80))
            await until(lambda: urls(balancer) == ["http://10.0.0.2:80"])
            assert STALE.labels("ai")._value.get() == 0


async def test_an_error_with_instances_in_it_keeps_the_last_good_table():
    async with consul() as (server, provider):
        await server.set(("10.0.0.1", 80))
        async with keeping(provider) as (balancer, discovery):
            await until(lambda: urls(balancer) == ["http://10.0.0.1:80"])
            server.status = 500
            await server.set(("10.0.0.2", 80))
            await until(lambda: discovery.faults)
            assert urls(balancer) == ["http://10.0.0.1:80"]
            server.status = 200
            await until(lambda: urls(balancer) == ["http://10.0.0.2:80"])


@pytest.mark.parametrize("index", ["", "-1", "x", "9" * 5_000])
async def test_an_index_that_is_none_is_not_waited_for(index):
    async with consul() as (server, provider):
        await server.set(("10.0.0.1", 80))
        server.index = index
        async with keeping(provider) as (balancer, discovery):
            await until(lambda: len(server.asked) >= 3)
            assert urls(balancer) == ["http://10.0.0.1:80"]
            assert not discovery.faults
    assert not any("index" in query for query in server.asked)


async def test_a_consul_that_is_away_keeps_the_last_good_table():
    async with aiohttp.ClientSession() as http:
        async with consul() as (server, _):
            pass
        provider = provider_of(DiscoverySettings(url="consul://127.0.0.1:9"), lambda: http)
        async with keeping(provider) as (balancer, discovery):
            balancer["ai"] = "http://10.0.0.1:80"
            await until(lambda: discovery.faults)
            assert urls(balancer) == ["http://10.0.0.1:80"]
        assert server.asked == []


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path):
    file = tmp_path / "instances.json"
    file.write_text('{"ai": ["http://10.0.0.1:80"]}')
    provider = provider_of(DiscoverySettings(url=f"file://{file}"), aiohttp.ClientSession)
    async with keeping(provider) as (balancer, discovery):
        await until(lambda: urls(balancer) == ["http://10.0.0.1:80"])
        for nonsense in (
            '{"ai": [',
            '{"ai": ["ftp://x"]}',
            '{"ai": ["http://[::1"]}',
            '{"ai": ["http://x:123456"]}',
            "{}",
            '{"ai": []}',
        ):
            file.write_text(nonsense)
            await until(lambda: discovery.faults)
            assert urls(balancer) == ["http://10.0.0.1:80"]
            file.write_text('{"ai": ["http://10.0.0.1:80"]}')
            await until(lambda: not discovery.faults)
        file.write_text('{"ai": ["http://10.0.0.2:80", "http://10.0.0.3:80"]}')
        await until(lambda: urls(balancer) == ["http://10.0.0.2:80", "http://10.0.0.3:80"])


async def test_dns_tells_the_addresses_behind_a_name():
    provider = provider_of(DiscoverySettings(url="dns://", name="localhost:8123"), aiohttp.ClientSession)
    assert provider is not None
    async with aclosing(provider.watch("ai")) as told:
        assert "http://127.0.0.1:8123" in await anext(told)


@pytest.mark.parametrize(("name", "error"), [("no-such-name.invalid:80", Unavailable), ("recoup-{service}", Invalid)])
async def test_dns_that_knows_nothing_says_so(name, error):
    provider = provider_of(DiscoverySettings(url="dns://", name=name), aiohttp.ClientSession)
    assert provider is not None
    async with aclosing(provider.watch("ai")) as told:
        with pytest.raises(error):
            await anext(told)


@pytest.mark.parametrize("nonsense", [[], ["0.0.0.0"], ["224.0.0.1"], ["10.0.0.1", "::"]], ids=str)
async def test_a_name_server_that_answers_nonsense_keeps_the_last_good_table(monkeypatch, nonsense):
    """What the system's resolver hands on is said here; everything behind it is ours."""
    answer = ["10.0.0.1", "fd00::1"]

    async def resolved(host, port, **_):
        assert host == "recoup-ai.shop"
        return [(0, 0, 0, "", (address, port)) for address in answer]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    given = DiscoverySettings(url="dns://", name="recoup-{service}.shop:8080", dns_seconds=0.05)
    good = ["http://10.0.0.1:8080", "http://[fd00::1]:8080"]
    async with keeping(provider_of(given, aiohttp.ClientSession)) as (balancer, discovery):
        await until(lambda: urls(balancer) == good)
        answer[:] = nonsense
        await until(lambda: discovery.faults)
        assert urls(balancer) == good
        answer[:] = ["10.0.0.2"]
        await until(lambda: urls(balancer) == ["http://10.0.0.2:8080"])
        assert not discovery.faults


async def test_a_provider_nobody_knows_stops_the_start():
    with pytest.raises(Invalid, match="etcd"):
        provider_of(DiscoverySettings(url="etcd://x"), aiohttp.ClientSession)
