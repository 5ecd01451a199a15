"""Prints what discovery by DNS makes of the name server on this machine's port 53, whenever that changes.

Run by `test_dns.py` in a network of its own: who asks DNS is the system's resolver, which knows no other port.
"""

import asyncio
import json

import aiohttp

from recoup.kit.balancing import Balancer
from recoup.kit.discovery import Discovery, DiscoverySettings, provider_of
from recoup.kit.telemetry import configure_logs


async def main() -> None:
    configure_logs("told", "WARNING")  # which go to standard error
    settings = DiscoverySettings(url="dns://", name="recoup-{service}.shop.test:8080", dns_seconds=0.1)
    provider = provider_of(settings, aiohttp.ClientSession)
    assert provider is not None
    balancer = Balancer()
    discovery = Discovery(provider, ["ai"], balancer.replace, retry_seconds=0.1, longest_seconds=0.1)
    running = asyncio.create_task(discovery.run())
    before = ""
    while not running.done():
        urls = sorted(instance.url for pool in balancer.pools() for instance in pool.instances)
        said = json.dumps({"urls": urls, "stale": bool(discovery.faults)})
        if said != before:
            print(said, flush=True)
        before = said
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
