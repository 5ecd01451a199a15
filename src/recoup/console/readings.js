// What answers of the API mean on the screen. Pure: an answer goes in, what a view shows comes out.

import { count, money, plural, words } from "./format.js";

const DAY = 86_400_000;
const LONGEST = 92;

/** The query of a period of so many days that ends now; nothing for all time. */
export function period(days, now) {
  if (days === "all") return {};
  return { from: new Date(now - Number(days) * DAY).toISOString(), to: new Date(now + 60_000).toISOString() };
}

/** The headline: extra revenue against the holdout; not known before somebody is in each arm. */
export function incremental({ incremental_revenue: found }) {
  return {
    amount: found.amount,
    low: found.low,
    high: found.high,
    currency: found.currency,
    known: found.amount !== null,
    contacted: found.contacted_people,
    heldOut: found.held_out_people,
    each: { contacted: found.per_contacted_person, heldOut: found.per_held_out_person },
    unequal: found.sample_ratio_p !== null && found.sample_ratio_p < 0.001,
  };
}

/** One sentence that says what the headline figure is worth. */
export function meaning({ known, unequal, low, high, contacted, heldOut }) {
  if (!known) {
    return "Compares people we meant to contact with people we deliberately leave alone. It appears once there are some of both.";
  }
  const groups = `${plural(contacted, "person", "people")} chosen for a message, ${count(heldOut)} deliberately left alone`;
  if (unequal)
    return `Not to be trusted: the sizes of the two groups (${groups}) are too far from what chance gives. Look for people who are counted in the wrong one.`;
  if (low === 0 && high === 0) return `Nobody of the two groups has ordered yet (${groups}).`;
  if (low > 0)
    return `What our messages brought in beyond what would have come anyway (${groups}). The whole interval lies above zero: chance alone hardly explains it.`;
  if (high < 0)
    return `With our messages less came in than without (${groups}). The whole interval lies below zero: stop and look at what is sent.`;
  return `The best estimate of what our messages added (${groups}). The interval includes zero, so it may still be chance; more carts will narrow it.`;
}

/** What a person was worth on average, with and without a message. */
export function perPerson({ known, each, currency }) {
  if (!known) return "";
  const write = (value) => money(Math.round(value), currency);
  return `${write(each.contacted)} a person chosen for a message, ${write(each.heldOut)} a person left alone`;
}

/** The steps of the funnel with their share of all carts. */
export function funnel(data) {
  const all = Math.max(data.carts, 1);
  const part = (value) => Math.min(1, (value ?? 0) / all);
  const alone = Math.max(0, data.abandoned - data.contacted - data.held_out);
  return [
    { key: "carts", name: "Carts", value: data.carts, share: part(data.carts) },
    {
      key: "abandoned",
      name: "Abandoned",
      value: data.abandoned,
      share: part(data.abandoned),
      note: plural(data.converted, "other bought", "others bought"),
    },
    {
      key: "contacted",
      name: "Contacted",
      value: data.contacted,
      share: part(data.contacted),
      note: alone ? `${plural(alone, "was", "were")} not, for a reason` : null,
    },
    {
      key: "held_out",
      name: "Held out",
      value: data.held_out,
      share: part(data.held_out),
      note: "left alone, to compare with",
    },
    {
      key: "recovered",
      name: "Recovered",
      value: data.recovered,
      share: part(data.recovered),
      note: "bought after all",
    },
  ];
}

/** Events per minute, oldest first, the newest of them, and both as words. */
export function perMinute({ events_per_minute: values }) {
  const now = values.at(-1) ?? 0;
  return { values, now, label: `Events per minute over the last ${values.length} minutes; now ${now}` };
}

/** Revenue by day, with the days in between that had none; the last three months at most. */
export function byDay({ days, total }) {
  if (days.length === 0) return [];
  const known = new Map(days.map((entry) => [entry.day, entry]));
  const first = Date.parse(days[0].day);
  const last = Date.parse(days.at(-1).day);
  return Array.from({ length: Math.min(LONGEST, (last - first) / DAY + 1) }, (_, index) => {
    const day = new Date(last - index * DAY).toISOString().slice(0, 10);
    const { orders, amount } = known.get(day) ?? { orders: 0, amount: 0 };
    return { day, orders, amount, currency: total.currency };
  }).reverse();
}

/** Where the visitors came from who ordered, the best first, each with its share of the best. */
export function byChannel({ channels, total }) {
  const sorted = channels.toSorted((left, right) => right.amount - left.amount).slice(0, 6);
  const best = Math.max(sorted[0]?.amount ?? 0, 1);
  return sorted.map(({ channel, orders, amount }) => ({
    name: words(channel) || "Unknown",
    orders,
    amount,
    currency: total.currency,
    share: amount / best,
  }));
}
