// The overview: what was won back beyond what would have come anyway, and the way there from cart to order.

import { read } from "../api.js";
import { bars, interval, sparkline } from "../charts.js";
import { h } from "../dom.js";
import { bigMoney, count, dateTime, isBig, money, moment, percent, plural, shortDay, shortMoney } from "../format.js";
import { choice, empty, from, heading, panel, terms } from "../parts.js";
import { byChannel, byDay, funnel, incremental, meaning, perMinute, period, perPerson } from "../readings.js";

const LIVE = 2000;
const SLOW = 10_000;
const PERIODS = [
  ["all", "All"],
  ["30", "30 days"],
  ["7", "7 days"],
  ["1", "24 hours"],
];

export const overview = {
  title: "Overview",
  state: { days: "all", now: null },

  sources({ state }) {
    const between = period(state.days, state.now ?? Date.now());
    return {
      overview: { read: (signal) => read("/analytics/overview", between, signal), every: LIVE },
      live: { read: (signal) => read("/analytics/live", {}, signal), every: LIVE },
      revenue: { read: (signal) => read("/analytics/revenue", between, signal), every: SLOW },
    };
  },

  spoken({ overview: { data } }) {
    if (!data?.events) return "";
    const { known, amount, currency } = incremental(data);
    return `Incremental revenue ${known ? money(amount, currency) : "not known yet"}, ${count(data.recovered)} of ${plural(data.abandoned, "abandoned cart")} recovered.`;
  },

  view({ feeds, state, set, refresh }) {
    const choose = (days) => set({ days, now: moment(feeds.live.data?.as_of) }, { reload: true });
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
      h(
        "li",
        {},
        h("b", {}, "Send one: "),
        "POST an event to ",
        h("code", {}, "/api/events"),
        " with the secret key from ",
        h("code", {}, "first-run.json"),
        ".",
      ),
      h(
        "li",
        {},
        h("b", {}, "Connect the shop: "),
        "add ",
        h("code", {}, "recoup.js"),
        " with the publishable key to its pages.",
      ),
    ),
  );

const figures = (feeds, refresh) =>
  h(
    "div",
    { class: "overview", key: "figures" },
    panel(
      { id: "headline", title: "Incremental revenue", class: "headline" },
      from(feeds.overview, (data) => headline(data, feeds.live.data), { lines: 4, retry: refresh }),
    ),
    panel(
      { id: "funnel", title: "From cart to order", class: "funnel-panel" },
      from(feeds.overview, funnelView, { lines: 6, retry: refresh }),
    ),
    panel(
      { id: "live", title: "Live", class: "live", note: h("span", { class: "pulse" }, "every 2 s") },
      from(feeds.live, live, { retry: refresh }),
    ),
    panel({ id: "orders", title: "Orders", class: "orders" }, from(feeds.overview, orders, { retry: refresh })),
    panel(
      { id: "channels", title: "Where buyers came from", class: "channels" },
      from(feeds.revenue, channels, { retry: refresh }),
    ),
    panel(
      { id: "revenue", title: "Revenue by day", class: "revenue" },
      from(feeds.revenue, revenue, { lines: 5, retry: refresh }),
    ),
  );

function headline(data, liveData) {
  const estimate = incremental(data);
  const write = (value) =>
    money(value, estimate.currency, { sign: true, whole: isBig(estimate.amount, estimate.currency) });
  const amount = (found) => bigMoney(found?.amount, found?.currency);
  return [
    h(
      "div",
      { class: "headline-main", key: "main" },
      h(
        "p",
        { class: `huge ${estimate.known ? "" : "unknown"}`, title: money(estimate.amount, estimate.currency) },
        estimate.known ? bigMoney(estimate.amount, estimate.currency) : "Not known yet",
      ),
      estimate.known && interval(estimate, { write }),
      h("p", { class: "meaning" }, meaning(estimate)),
      estimate.known && h("p", { class: "fine" }, perPerson(estimate)),
    ),
    h(
      "div",
      { class: "headline-beside", key: "beside" },
      terms([
        [
          "Recovered revenue",
          amount(data.recovered_revenue),
          "orders of abandoned carts, also those that would have come anyway",
        ],
        ["Attributed revenue", amount(data.attributed_revenue), "orders whose last touch was a message of ours"],
        ["Value at risk", amount(liveData?.value_at_risk), "in abandoned carts that can still come back"],
      ]),
      h("p", { class: "fine" }, "These overlap with the headline: never add them to it."),
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
              h("span", {
                key: piece.key,
                class: `funnel-bar ${piece.key}`,
                style: { width: `${piece.share * 100}%` },
              }),
            ),
          ),
        ),
      ),
    ),
    terms(
      [
        ["Abandonment rate", percent(data.abandonment_rate, 1), "of all carts"],
        ["Recovery rate", percent(data.recovery_rate, 1), "of abandoned carts"],
      ],
      "rates",
    ),
  ];
}

function live(data) {
  const { values, now, label } = perMinute(data);
  return [
    h("p", { class: "big" }, count(now), h("span", { class: "unit" }, "events / min")),
    values.some(Boolean)
      ? sparkline(values, label)
      : h("p", { class: "fine" }, `Nothing has arrived in the last ${values.length} minutes.`),
    terms(
      [
        ["Open carts", count(data.open_carts)],
        ["Abandoned, may come back", count(data.abandoned_waiting)],
        ["The store's time", dateTime(data.as_of)],
      ],
      "inline",
    ),
  ];
}

const orders = (data) => [
  terms(
    [
      ["Orders", count(data.orders)],
      ["Revenue", bigMoney(data.revenue.amount, data.revenue.currency)],
      [
        "Average order",
        data.orders ? money(Math.round(data.revenue.amount / data.orders), data.revenue.currency) : "–",
      ],
      ["Events", count(data.events)],
    ],
    "grid",
  ),
  data.other_currencies.length > 0 &&
    h(
      "p",
      { class: "fine" },
      `Besides, in other currencies: ${data.other_currencies.map(({ amount, currency }) => money(amount, currency)).join(", ")}.`,
    ),
];

function revenue(data) {
  const days = byDay(data);
  if (days.length === 0)
    return empty("No orders in this period", "Choose a longer period, or wait for the first order.");
  return bars(
    days.map(({ day, orders: number, amount, currency }) => ({
      key: day,
      label: shortDay(day),
      value: amount,
      text: `${money(amount, currency)} in ${plural(number, "order")}`,
    })),
    { label: "Revenue by day", axis: (value) => shortMoney(value, data.total.currency) },
  );
}

function channels(data) {
  const found = byChannel(data);
  if (found.length === 0) return h("p", { class: "fine" }, "Appears with the first order.");
  return h(
    "ul",
    { class: "meters" },
    found.map(({ name, amount, currency, share }) =>
      h(
        "li",
        { key: name },
        h("span", {}, name),
        h("span", { class: "number" }, bigMoney(amount, currency)),
        h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: `${share * 100}%` } })),
      ),
    ),
  );
}
