// What answers of the API mean on the screen. Pure: an answer goes in, what a view shows comes out.

import { figure, money, moment, plural } from "./format.js";

const DAY = 86_400_000;

/** The query of a period of so many days that ends now; nothing for all time. */
export function period(days, now) {
  if (days === "all") return {};
  return { from: new Date(now - Number(days) * DAY).toISOString(), to: new Date(now + 60_000).toISOString() };
}

/** The headline: extra revenue against the holdout. Not known before somebody was contacted and somebody held out. */
export function incremental(data) {
  const { amount, currency, low, high } = data.incremental_revenue ?? {};
  const compared = data.contacted > 0 && data.held_out > 0;
  return {
    amount, currency, low, high,
    known: compared && typeof amount === "number" && typeof low === "number" && typeof high === "number",
    contacted: data.contacted, heldOut: data.held_out,
  };
}

/** One sentence that says what the headline figure is worth. */
export function meaning({ known, amount, currency, low, high, contacted, heldOut }) {
  if (!known) {
    return "This compares people who were contacted with people who were deliberately left alone. It appears once there are some of both.";
  }
  const groups = `${plural(contacted, "cart")} contacted, ${figure(heldOut)} deliberately left alone`;
  if (low > 0) return `What our messages brought in beyond what would have come anyway (${groups}). The whole interval lies above zero: the effect is real.`;
  if (high < 0) return `With our messages less came in than without (${groups}). The whole interval lies below zero: stop and look at what is sent.`;
  return `${money(amount, currency)} is the best estimate of what our messages added (${groups}), but the interval includes zero: it may still be chance. More carts will narrow it.`;
}

/** The steps of the funnel with their share of all carts. */
export function funnel(data) {
  const all = Math.max(data.carts, 1);
  const part = (value) => Math.min(1, (value ?? 0) / all);
  const alone = Math.max(0, data.abandoned - data.contacted - data.held_out);
  return [
    { key: "carts", name: "Carts", value: data.carts, share: part(data.carts) },
    { key: "abandoned", name: "Abandoned", value: data.abandoned, share: part(data.abandoned), note: plural(data.converted, "other bought", "others bought") },
    { key: "contacted", name: "Contacted", value: data.contacted, share: part(data.contacted), note: alone ? `${plural(alone, "was", "were")} not, for a reason` : null },
    { key: "held_out", name: "Held out", value: data.held_out, share: part(data.held_out), note: "left alone, to compare with" },
    { key: "recovered", name: "Recovered", value: data.recovered, share: part(data.recovered), note: "bought after all" },
  ];
}

/** Events per minute, oldest first, and the newest of them. */
export function perMinute(data) {
  const points = data.minutes ?? data.events_per_minute ?? [];
  const values = points.map((point) => (typeof point === "number" ? point : point.events));
  const now = values.at(-1) ?? 0;
  const label = `Events per minute over the last ${values.length} minutes; now ${now}`;
  return { values, now, label, last: moment(data.last_event_at) };
}

/** Revenue by day with days in between that had none. */
export function byDay(data) {
  const days = (data.days ?? []).map(({ day, orders, revenue }) => ({ day: String(day).slice(0, 10), orders, amount: revenue.amount, currency: revenue.currency }));
  if (days.length === 0) return [];
  const known = new Map(days.map((entry) => [entry.day, entry]));
  const first = Date.parse(days[0].day);
  const last = Date.parse(days.at(-1).day);
  return Array.from({ length: Math.min(92, (last - first) / DAY + 1) }, (_, index) => {
    const day = new Date(last - index * DAY).toISOString().slice(0, 10);
    return known.get(day) ?? { day, orders: 0, amount: 0, currency: days[0].currency };
  }).reverse();
}
