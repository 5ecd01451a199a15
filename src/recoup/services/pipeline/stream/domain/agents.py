"""What a user agent says of who is looking: a kind of device, or a crawler.

By the rules of ua-parser, which know devices and systems but not which of them fit in a hand, and hear only of crawlers
that somebody has reported; both gaps are closed here. Says nothing of versions: nobody decides by them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from ua_parser import Domain, Resolver

DeviceClass = Literal["desktop", "mobile", "tablet", "crawler", "other"]

# What programs call themselves; browsers name no address. CUBOT is a maker of phones.
_PROGRAM: Final = re.compile(
    r"(?<!cu)bot\b|bot[/_-]|crawl|spider|slurp|headless|scrap|https?:|phantomjs"
    r"|selenium|playwright|puppeteer|webdriver|lighthouse|synthetics|facebookexternalhit"
    r"|^(curl|wget|python|java|go-http|ruby|php|perl|libwww|axios|node|apache-httpclient|httpie)\b"
    r"|preview|validator|monitor|checker|feed(fetcher|parser|burner)|scanner|archiv|web ?copy",
    re.IGNORECASE,
)
_BROWSER: Final = ("Mozilla/", "Opera/", "Dalvik/", "UCWEB/")
_SCREEN: Final = re.compile(
    r"smart-?tv|\btv\b|googletv|appletv|hbbtv|bravia|\baft[a-z]{1,2}\b|roku|playstation|xbox|nintendo|watch",
    re.IGNORECASE,
)
_PHONE: Final = re.compile(r"windows ce|iemobile|midp", re.IGNORECASE)
_TABLET: Final = re.compile(r"ipad|tablet|kindle|silk|playbook", re.IGNORECASE)
_DESKTOP: Final = frozenset(
    {
        "Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Red Hat", "CentOS", "SUSE", "Mandriva", "Gentoo",
        "Arch Linux", "Chrome OS", "FreeBSD", "OpenBSD", "NetBSD", "Solaris", "Kubuntu", "Linux Mint",
    }
)  # fmt: skip
_MOST_KNOWN: Final = 20_000
_MOST_NEW: Final = 200


@dataclass(slots=True)
class Agents:
    """Classes of user agents met before, the latest ones.

    Rules take up to 0.1 ms for an agent, so a batch gets so many new ones looked up and no more: a flood of agents
    made up at random cannot hold up its neighbours.
    """

    most_known: int = _MOST_KNOWN
    most_new: int = _MOST_NEW
    _known: dict[str, DeviceClass] = field(default_factory=dict)

    def classes(self, agents: Iterable[str]) -> list[DeviceClass | None]:
        """One for each; None where there was no time for it."""
        found: list[DeviceClass | None] = []
        new = 0
        for agent in agents:
            known = self._known.pop(agent, None)
            if known is None and new < self.most_new:
                known = device_class(agent)
                new += 1
            if known is not None:
                self._known[agent] = known
            found.append(known)
        while len(self._known) > self.most_known:
            del self._known[next(iter(self._known))]
        return found


def device_class(agent: str) -> DeviceClass:
    """What one user agent says; a program that does not say on which device it runs is a crawler."""
    if _PROGRAM.search(agent):
        return "crawler"
    seen = rules()(agent, Domain.DEVICE | Domain.OS)
    device = seen.device.family if seen.device else None
    system = seen.os.family if seen.os else None
    if device == "Spider" or (device is system is None and not _is_browser(agent)):
        return "crawler"
    return _held(agent, device, system)


def _is_browser(agent: str) -> bool:
    # Browsers call themselves compatible with one another, and then name their system; programs don't.
    return agent.startswith(_BROWSER) and "compatible;" not in agent


def _held(agent: str, device: str | None, system: str | None) -> DeviceClass:
    if _SCREEN.search(agent):
        return "other"
    if _TABLET.search(agent):
        return "tablet"
    if system in _DESKTOP and not _PHONE.search(agent):
        return "desktop"
    if system == "Android" and agent.startswith("Mozilla/") and "obile" not in agent:
        return "tablet"
    return "mobile" if device or system else "other"


@cache
def rules() -> Resolver:
    """The rules, read when first asked for."""
    # Reading the rules takes 0.2 s and 25 MB; only the process that asks pays.
    from ua_parser.loaders import load_lazy_builtins  # noqa: PLC0415 - see above
    from ua_parser.regex import Resolver as Rules  # noqa: PLC0415 - see above

    return Rules(load_lazy_builtins())
