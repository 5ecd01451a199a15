"""Several instances of a service behind the proxy: who is asked, who is left out, what is asked again."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import aiohttp
import pytest
from tests.kit.proxied import Front, Instance, fronted, listening, said

from recoup.kit.balancing import Balancer, Balancing
from recoup.kit.breaker import BreakerSettings, RetrySettings
from recoup.kit.clock import stopwatch
from recoup.kit.health import HealthChecks
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.upload import ProxyLimits


@asynccontextmanager
async def house(
    *names: str, balancer: Balancer | None = None, limits: ProxyLimits | None = None
) -> AsyncGenerator[tuple[Front, list[Instance]]]:
    balancer = Balancer() if balancer is None else balancer
    async with AsyncExitStack() as stack:
        instances = [Instance(name) for name in names]
        for instance in instances:
            await instance.start()
            stack.push_async_callback(instance.stop)
        balancer.replace("ai", [instance.url for instance in instances])
        yield await stack.enter_async_context(fronted(balancer, limits)), instances


async def breaks_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def fails(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(said(500, b"no"))


async def asks_for_patience(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(said(503, b"later", "Retry-After: 1"))


async def is_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_instances_are_asked_in_turn():
    async with house("a", "b", "c") as (front, _):
        answers = [(await front.ask())[1] for _ in range(9)]
    assert Counter(answers) == {b"a": 3, b"b": 3, b"c": 3}
    assert all(one != two for one, two in pairwise(answers))


async def test_or_the_least_busy_one_is_asked():
    release = asyncio.Event()

    async def waits(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(said(200, b"slow"))

    async with house("a", "b", balancer=Balancer(Balancing(policy="least_outstanding"))) as (front, (a, b)):
        a.behaviour = b.behaviour = waits
        waiting = asyncio.ensure_future(front.ask())
        while not a.heads and not b.heads:
            await asyncio.sleep(0.01)
        busy, idle = (a, b) if a.heads else (b, a)
        idle.behaviour = None
        answers = {(await front.ask())[1] for _ in range(6)}
        release.set()
        assert (await waiting)[1] == b"slow"
    assert answers == {idle.name.encode()}
    assert len(busy.heads) == 1


async def test_a_refused_connection_goes_to_another_instance_whatever_the_method():
    async with house("a", "b") as (front, (a, _)):
        await a.stop()
        answers = [await front.ask("POST", data=b"x" * 1000) for _ in range(6)]
    assert answers == [(200, b"b")] * 6


async def test_an_instance_that_refuses_is_left_out_and_comes_back_with_its_health():
    balancer = Balancer(Balancing(eject_seconds=60))
    async with house("a", "b", balancer=balancer) as (front, (a, b)):
        await a.stop()
        for _ in range(4):
            await front.ask()
        (pool,) = balancer.pools()
        assert [balancer.is_out(instance, stopwatch()) for instance in pool.instances] == [True, False]
        a.heads.clear()
        await a.start()
        assert {(await front.ask())[1] for _ in range(4)} == {b"b"}
        await HealthChecks(balancer, front.peers).round()
        assert {(await front.ask())[1] for _ in range(4)} == {b"a", b"b"}
        assert b"GET /health " in a.heads[0]
        assert any(b"GET /health " in head for head in b.heads)


async def test_an_instance_whose_health_check_fails_is_left_out():
    balancer = Balancer(Balancing(unhealthy_after=2))
    async with house("a", "b", balancer=balancer) as (front, (a, _)):
        checks = HealthChecks(balancer, front.peers)
        a.behaviour = fails
        await checks.round()
        await checks.round()
        a.behaviour = None
        assert {(await front.ask())[1] for _ in range(4)} == {b"b"}
        await checks.round()
        assert {(await front.ask())[1] for _ in range(4)} == {b"a", b"b"}


async def test_the_last_instance_is_asked_even_when_it_is_out():
    async with house("a", balancer=Balancer(Balancing(eject_seconds=60))) as (front, (a,)):
        await a.stop()
        assert (await front.ask())[0] == 503
        await a.start()
        assert await front.ask() == (200, b"a")


async def test_what_broke_off_is_asked_again_only_if_it_may_be():
    async with house("a", "b") as (front, (a, b)):
        a.behaviour = breaks_off
        gets = [await front.ask() for _ in range(4)]
        posts = Counter([(await front.ask("POST", data=b"x"))[0] for _ in range(4)])
    assert gets == [(200, b"b")] * 4
    assert posts[503] == sum(b"POST" in head for head in a.heads) > 0
    assert sum(b"POST" in head for head in b.heads) == posts[200]


async def test_a_body_that_was_sent_is_sent_again_whole():
    bodies: list[bytes] = []

    async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(200_000))
        writer.write(said(200, b"kept"))

    async def breaks_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(150_000)
        writer.transport.abort()

    body = bytes(range(250)) * 800
    async with house("a", "b") as (front, (a, b)):
        a.behaviour, b.behaviour = breaks_late, keeps
        answers = [await front.ask("PUT", data=body) for _ in range(4)]
    assert answers == [(200, b"kept")] * 4
    assert bodies == [body] * 4
    assert any(b"PUT" in head for head in a.heads)


async def test_half_an_answer_is_never_asked_for_again():
    async def half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        writer.close()

    async with house("a", "b") as (front, (a, b)):
        a.behaviour = b.behaviour = half
        with pytest.raises(aiohttp.ClientPayloadError):
            await front.ask()
    assert len(a.heads) + len(b.heads) == 1


async def test_retries_end_with_the_budget():
    balancer = Balancer(retries=RetrySettings(share=0, reserve=2), breakers=BreakerSettings(minimum_calls=1000))
    async with house("a", "b", balancer=balancer) as (front, instances):
        for instance in instances:
            instance.behaviour = breaks_off
        for _ in range(10):
            assert (await front.ask())[0] == 503
    assert 12 <= sum(len(instance.heads) for instance in instances) <= 13  # one more if a second went by


async def test_a_service_that_fails_half_of_its_calls_is_left_alone():
    async with house("a") as (front, (a,)):
        a.behaviour = fails
        statuses = [await front.ask() for _ in range(30)]
    assert [status for status, _ in statuses] == [500] * 20 + [503] * 10
    assert b'"circuit_open"' in statuses[-1][1]
    assert len(a.heads) == 20


async def test_one_instance_that_fails_is_left_alone_while_the_others_are_asked():
    async with house("a", "b", "c") as (front, (a, *_)):
        a.behaviour = fails
        statuses = [(await front.ask())[0] for _ in range(150)]
    assert len(a.heads) == 20
    assert statuses[-60:] == [200] * 60


async def test_a_socket_that_stays_open_is_no_trial_call_without_end():
    status = 500

    async def app(scope, receive, send):
        await receive()
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        return await send({"type": "http.response.body", "body": b"", "more_body": False})

    balancer = Balancer(breakers=BreakerSettings(minimum_calls=1, open_seconds=0.05, trial_calls=1))
    async with listening(app) as url, fronted(balancer) as front:
        balancer["ai"] = url
        assert (await front.ask())[0] == 500
        status = 200
        (pool,) = balancer.pools()
        async with asyncio.timeout(60):
            while pool.breaker.wait(stopwatch()) or pool.instances[0].breaker.wait(stopwatch()):
                await asyncio.sleep(0.01)
        async with front.http.ws_connect(front.url + "/ws"):
            assert (await front.ask())[0] == 200


async def test_a_service_that_flaps_is_answered_whenever_it_is_there():
    """Refused connections open no breaker: it is away for as long as it is away."""
    async with house("a") as (front, (a,)):
        for _ in range(12):
            await a.stop()
            assert {(await front.ask())[0] for _ in range(5)} == {503}
            await a.start()
            assert {await front.ask() for _ in range(5)} == {(200, b"a")}


async def test_an_instance_whose_health_flaps_costs_no_request():
    async with house("a", "b") as (front, (a, _)):
        checks = HealthChecks(front.balancer, front.peers)

        async def fails_its_checks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said(500 if b"GET /health " in a.heads[-1] else 200, b"a"))

        for turn in range(8):
            a.behaviour = None if turn % 2 else fails_its_checks
            await checks.round()
            assert {(await front.ask())[0] for _ in range(4)} == {200}


async def test_a_service_that_says_when_to_come_again_is_not_left_alone():
    async with house("a") as (front, (a,)):
        a.behaviour = asks_for_patience
        assert {(await front.ask())[1] for _ in range(40)} == {b"later"}
        a.behaviour = None
        assert await front.ask() == (200, b"a")


async def test_a_call_that_takes_too_long_is_given_up_and_not_made_again():
    limits = ProxyLimits(body_bytes=1000, frame_bytes=1000, call_seconds=0.2)
    async with house("a", "b", limits=limits) as (front, instances):
        for instance in instances:
            instance.behaviour = is_silent
        assert (await front.ask())[0] == 503
    assert sum(len(instance.heads) for instance in instances) == 1


async def test_our_own_calls_go_to_another_instance_too():
    balancer = Balancer()
    async with house("a", "b", balancer=balancer) as (_, (a, _)):
        await a.stop()
        peers = Peers(balancer, TokenSource(str, 60))
        assert [await peers.get_bytes("ai", "/x") for _ in range(4)] == [b"b"] * 4
        await peers.close()


async def test_new_instances_are_asked_and_old_ones_are_not_without_a_restart():
    async with house("a", "b") as (front, (a, b)):
        front.balancer.replace("ai", [b.url])
        assert {(await front.ask())[1] for _ in range(4)} == {b"b"}
        front.balancer.replace("ai", [a.url, b.url])
        assert {(await front.ask())[1] for _ in range(4)} == {b"a", b"b"}


async def test_no_idempotent_request_fails_while_instances_come_and_go():
    """Each is killed with what it is doing; one is always there."""
    statuses: Counter[int] = Counter()
    async with house("a", "b", "c") as (front, instances):
        done = asyncio.Event()

        async def ask() -> None:
            while not done.is_set():
                statuses[(await front.ask())[0]] += 1

        async def churn() -> None:
            for round_ in range(12):
                victim = instances[round_ % 3]
                before = sum(statuses.values())
                await victim.stop()
                while sum(statuses.values()) < before + 40:
                    await asyncio.sleep(0.005)
                await victim.start()
                await HealthChecks(front.balancer, front.peers).round()
            done.set()

        await asyncio.gather(churn(), *(ask() for _ in range(4)))
    assert set(statuses) == {200}
