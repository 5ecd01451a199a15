// The overview: what was won back beyond what would have come anyway, and the way there from cart to order.

import { read } from "../api.js";
import { bars, interval, sparkline } from "../charts.js";
import { h } from "../dom.js";
import { bigMoney, count, isBig, money, moment, percent, plural, shortDay, shortMoney, shortTime } from "../format.js";
import { choice, empty, from, heading, panel, terms } from "../parts.js";
import { byDay, funnel, incremental, meaning, perMinute, period } from "../readings.js";

const LIVE = 2000;
const SLOW = 10_000;
const PERIODS = [["all", "All"], ["30", "30 days"], ["7", "7 days"], ["1", "24 hours"]];

export const overview = {
  title: "Overview",
  state: { days: "all", last: null },

  sources({ state }) {
    const between = period(state.days, state.last ?? Date.now());
    return {
      overview: { read: (signal) => read("/analytics/overview", between, signal), every: LIVE },
      live: { read: (signal) => read("/analytics/live", {}, signal), every: LIVE },
      revenue: { read: (signal) => read("/analytics/revenue", between, signal), every: SLOW },
      stats: { read: (signal) => read("/events/stats", {}, signal), every: SLOW },
    };
  },

  spoken({ overview: { data } }) {
    if (!data?.events) return "";
    const { amount, currency } = data.incremental_revenue;
    return `Incremental revenue ${money(amount, currency)}, ${plural(data.recovered, "cart")} recovered of ${count(data.abandoned)} abandoned.`;
  },

  view({ feeds, state, set, refresh }) {
    const choose = (days) => set({ days, last: moment(feeds.stats.data?.last_event_at) }, { reload: true });
    return [
      heading("Overview", choice("Period", PERIODS, state.days, choose)),
      feeds.overview.data?.events === 0 && state.days === "all" ? firstSteps() : figures(feeds, refresh),
    ];
  },
};

const firstSteps = () =>
  h(
    "div",
    { class: "panel first", key: "first" },
    empty(
      "No events yet",
      "As soon as your shop sends what its shoppers do, carts, predictions and the money they bring back show up here.",
    ),
    h(
      "ol",
      { class: "steps" },
      h("li", {}, h("b", {}, "Try it: "), "run ", h("code", {}, "recoup demo"), " for a shop with simulated shoppers."),
      h("li", {}, h("b", {}, "Send one: "), "POST an event to ", h("code", {}, "/api/events"), " with the secret key from ", h("code", {}, "first-run.json"), "."),
      h("li", {}, h("b", {}, "Connect the shop: "), "add ", h("code", {}, "recoup.js"), " with the publishable key to its pages."),
    ),
  );

const figures = (feeds, refresh) =>
  h(
    "div",
    { class: "overview", key: "figures" },
    panel({ id: "headline", title: "Incremental revenue", class: "headline" }, from(feeds.overview, headline, { lines: 4, retry: refresh })),
    panel({ id: "funnel", title: "From cart to order", class: "funnel-panel" }, from(feeds.overview, funnelView, { lines: 6, retry: refresh })),
    panel({ id: "live", title: "Live", class: "live", note: h("span", { class: "pulse" }, "every 2 s") }, from(feeds.live, live, { retry: refresh })),
    panel({ id: "orders", title: "Orders", class: "orders" }, from(feeds.overview, orders, { retry: refresh })),
    panel({ id: "revenue", title: "Revenue by day", class: "revenue" }, from(feeds.revenue, revenue, { lines: 5, retry: refresh })),
  );

function headline(data) {
  const estimate = incremental(data);
  const write = (value) => money(value, estimate.currency, { sign: true, whole: isBig(estimate.amount, estimate.currency) });
  return [
    h(
      "div",
      { class: "headline-main", key: "main" },
      h("p", { class: "huge", title: money(estimate.amount, estimate.currency) }, estimate.known ? bigMoney(estimate.amount, estimate.currency) : "–"),
      estimate.known && interval(estimate, { write }),
      h("p", { class: "meaning" }, meaning(estimate)),
    ),
    h(
      "div",
      { class: "headline-beside", key: "beside" },
      terms([
        ["Recovered revenue", bigMoney(data.recovered_revenue?.amount, data.recovered_revenue?.currency), "all orders after an abandonment, also those that would have come anyway"],
        ["Value at risk", bigMoney(data.value_at_risk?.amount, data.value_at_risk?.currency), "in abandoned carts that can still come back"],
      ]),
      h("p", { class: "fine" }, "These measure different things: never add them to the headline."),
    ),
  ];
}

function funnelView(data) {
  return [
    h(
      "ol",
      { class: "funnel", key: "funnel" },
      funnel(data).map(({ key, name, value, share: part, note, parts }) =>
        h(
          "li",
          { key },
          h("span", { class: "funnel-name" }, name, note && h("span", { class: "fine" }, note)),
          h("span", { class: "funnel-value" }, count(value)),
          h(
            "span",
            { class: "funnel-track", "aria-hidden": "true" },
            (parts ?? [{ key, share: part }]).map((piece) =>
              h("span", { key: piece.key, class: `funnel-bar ${piece.key}`, style: { width: `${piece.share * 100}%` } }),
            ),
          ),
        ),
      ),
    ),
    terms(
      [
        ["Abandonment rate", percent(data.abandonment_rate, 1), "of finished carts"],
        ["Recovery rate", percent(data.recovery_rate, 1), "of abandoned carts"],
      ],
      "rates",
    ),
  ];
}

function live(data) {
  const { values, now, label, last } = perMinute(data);
  return [
    h("p", { class: "big" }, count(now), h("span", { class: "unit" }, "events / min")),
    values.some(Boolean) ? sparkline(values, label) : h("p", { class: "fine" }, "Nothing has arrived in the last half hour."),
    terms([["Open carts", count(data.open_carts)], ["Last event", shortTime(last)]].filter(([, value]) => value !== "–"), "inline"),
  ];
}

function orders(data) {
  return terms([
    ["Orders", count(data.orders)],
    ["Revenue", bigMoney(data.revenue?.amount, data.revenue?.currency)],
    ["Average order", data.orders ? money(Math.round(data.revenue.amount / data.orders), data.revenue.currency) : "–"],
    ["Events", count(data.events)],
  ], "grid");
}

function revenue(data) {
  const days = byDay(data);
  if (days.length === 0) return empty("No orders in this period", "Choose a longer period, or wait for the first order.");
  const { currency } = days[0];
  return bars(
    days.map((entry) => ({ key: entry.day, label: shortDay(entry.day), value: entry.amount, text: `${money(entry.amount, currency)} in ${plural(entry.orders, "order")}` })),
    { label: "Revenue by day", axis: (value) => shortMoney(value, currency) },
  );
}
