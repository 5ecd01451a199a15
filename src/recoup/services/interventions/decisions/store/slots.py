"""The contact counters: when each person was or will be contacted, in Valkey, asked and taken in one step.

One script call answers a whole batch. A person's slots are counted over all ids they are known by; the same
intervention asking again keeps its slot; and since a later message may be decided before an earlier one leaves,
the busiest window
around the wanted moment counts, whichever side of it the others lie on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import msgspec
from msgspec import Struct

from recoup.kit.clock import milliseconds
from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import CONTACTS
from recoup.messages.stores import StoreSettings
from recoup.services.interventions.decisions.domain import Slot

KEPT = timedelta(days=8)
# The longest window, and a week for decisions that come out of their order.
COUNTED = timedelta(days=15)
WINDOWS = (("hour", timedelta(hours=1)), ("day", timedelta(days=1)), ("week", timedelta(days=7)))

_SCRIPT = """
local function number(value) return string.format('%.0f', value) end

local function others(ask, reach)
  local times = {}
  for _, key in ipairs(ask.keys) do
    local from, to = '(' .. number(ask.at - reach), '(' .. number(ask.at + reach)
    local found = redis.call('ZRANGEBYSCORE', KEYS[key], from, to, 'WITHSCORES')
    for i = 1, #found, 2 do
      if found[i] ~= ask.member then times[#times + 1] = tonumber(found[i + 1]) end
    end
  end
  return times
end

local function busiest(times, at, window)
  local most = 1
  local starts = {at, unpack(times)}
  for _, start in ipairs(starts) do
    if start <= at and at < start + window then
      local count = 1
      for _, time in ipairs(times) do
        if time >= start and time < start + window then count = count + 1 end
      end
      if count > most then most = count end
    end
  end
  return most
end

local answers = {}
for n, ask in ipairs(cjson.decode(ARGV[1])) do
  local times, full, count = others(ask, ask.limits[#ask.limits][1]), 0, 0
  for i, limit in ipairs(ask.limits) do
    local most = busiest(times, ask.at, limit[1])
    if most > limit[2] then full = i; count = most - 1; break end
  end
  if ask.take then
    for _, key in ipairs(ask.keys) do redis.call('ZREM', KEYS[key], ask.member) end
    if full == 0 then
      local home = KEYS[ask.keys[1]]
      redis.call('ZREMRANGEBYSCORE', home, '-inf', number(ask.at - ask.kept))
      redis.call('ZADD', home, number(ask.at), ask.member)
      redis.call('PEXPIRE', home, number(ask.lifetime))
    end
  end
  answers[n] = {full, count}
end
return answers
"""


class Wanted(Struct, frozen=True, kw_only=True):
    """One more message to somebody, at a moment of the store's clock."""

    member: str
    """Which intervention."""
    linked: Sequence[str]
    at: datetime
    now: datetime
    settings: StoreSettings
    take: bool
    """Take the slot if it is free, rather than only ask."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Who was contacted when."""

    valkey: Valkey

    async def ask(self, store_id: str, wanted: Sequence[Wanted]) -> list[Slot]:
        """Whether each has a free slot, in order, taking those that want it; all or nothing of it happens at once."""
        if not wanted:
            return []
        keys: dict[str, int] = {}
        asks = [_ask(store_id, each, keys) for each in wanted]
        answers = await settled(self.valkey.eval(_SCRIPT, len(keys), *keys, msgspec.json.encode(asks)))
        return [
            _slot(each.settings, full, count)
            for each, (full, count) in zip(wanted, cast("list[tuple[int, int]]", answers), strict=True)
        ]

    async def release(self, store_id: str, held: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Gives back the slots of interventions that were never sent: (intervention, the person's ids)."""
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for member, linked in held:
                    for person_id in linked:
                        pipe.zrem(CONTACTS.key(store_id=store_id, person_id=person_id), member)
                await pipe.execute()


def _limits(settings: StoreSettings) -> tuple[int, int, int]:
    return settings.max_per_hour, settings.max_per_day, settings.max_per_week


def _ask(store_id: str, wanted: Wanted, keys: dict[str, int]) -> dict[str, object]:
    names = [CONTACTS.key(store_id=store_id, person_id=person_id) for person_id in wanted.linked]
    places = [keys.setdefault(name, len(keys) + 1) for name in names]
    ahead = max(wanted.at - wanted.now, timedelta(0))
    return {
        "keys": places,
        "member": wanted.member,
        "at": milliseconds(wanted.at),
        "take": wanted.take,
        "kept": _ms(COUNTED),
        "lifetime": _ms(KEPT + ahead),
        "limits": [[_ms(window), limit] for (_, window), limit in zip(WINDOWS, _limits(wanted.settings), strict=True)],
    }


def _ms(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _slot(settings: StoreSettings, full: int, count: int) -> Slot:
    if full == 0:
        hour, day, week = _limits(settings)
        return Slot(free=True, detail=f"below {hour} an hour, {day} a day and {week} a week")
    name, _ = WINDOWS[full - 1]
    return Slot(free=False, detail=f"{count} within the {name}, of at most {_limits(settings)[full - 1]}")
