// Events as they are worked on: the newest first, by type or person, a sample where they are too many to read.

import { h } from "../dom.js";
import { count, dateTime, duration, figure, money, moment, percent, shortId, time, words } from "../format.js";
import { NOTHING, after, outcome, pace, whose } from "../live_readings.js";
import { badge, empty, eventTabs, heading, panel } from "../parts.js";
import { watch } from "../watching.js";

export const TYPES = [
  "page_viewed",
  "product_viewed",
  "product_added",
  "product_removed",
  "cart_updated",
  "checkout_started",
  "payment_info_entered",
  "order_completed",
  "user_identified",
  "exit_intent",
  "custom_event",
];
const STATES = {
  connecting: { tone: "skipped", word: "Connecting" },
  open: { tone: "good", word: "Live" },
  waiting: { tone: "abandoned", word: "Connection lost; trying again" },
  paused: { tone: "skipped", word: "Paused" },
};

export const live = {
  title: "Live events",
  state: { seen: NOTHING, connection: "connecting", isPaused: false, type: "", visitor: "", stop: null },

  sources: () => ({}),

  enter({ state, set }) {
    state.stop = begin(state, set);
    return () => state.stop?.();
  },

  view({ state, set }) {
    const { tone, word } = STATES[state.isPaused ? "paused" : state.connection];
    return [
      eventTabs("live"),
      heading("Live events", badge(tone, word), pauseButton(state, set)),
      h("form", { class: "live-filters", key: "filters", on: { submit: (event) => event.preventDefault() } }, filters(state, set)),
      panel({ id: "tail", title: "Newest first", note: said(state) }, tail(state)),
    ];
  },
};

/** Watches anew, with the filter as it is now. */
function begin(state, set) {
  state.stop?.();
  return watch({ type: state.type, visitor: state.visitor }, ({ state: connection, frame }) => {
    set({ connection, seen: frame ? after(state.seen, frame, Date.now()) : state.seen });
  });
}

function pauseButton(state, set) {
  const toggle = () => {
    if (state.isPaused) {
      set({ isPaused: false, connection: "connecting" });
      state.stop = begin(state, set);
      return;
    }
    state.stop?.();
    set({ isPaused: true });
  };
  return h("button", { type: "button", class: "button small", on: { click: toggle } }, state.isPaused ? "Go on" : "Pause");
}

function filters(state, set) {
  const choose = (changes) => {
    set({ ...changes, seen: NOTHING, connection: "connecting", isPaused: false });
    state.stop = begin(state, set);
  };
  return [
    h(
      "label",
      { class: "select", key: "type" },
      h("span", { class: "unseen" }, "Type"),
      h(
        "select",
        { on: { change: (event) => choose({ type: event.target.value }) } },
        h("option", { key: "", value: "", selected: state.type === "" }, "Any type"),
        TYPES.map((type) => h("option", { key: type, value: type, selected: type === state.type }, words(type))),
      ),
    ),
    h(
      "label",
      { key: "visitor" },
      h("span", { class: "unseen" }, "Visitor"),
      h("input", {
        type: "search",
        placeholder: "Visitor, user, session or cart id",
        value: state.visitor,
        on: { change: (event) => choose({ visitor: event.target.value.trim() }) },
      }),
    ),
  ];
}

function said({ seen }) {
  const { rate, share } = pace(seen, Date.now());
  const speed = `${figure(rate, rate < 10 ? 1 : 0)} per second`;
  return share < 1 ? `${speed}; too fast to show all, this is a sample of ${percent(share, share < 0.1 ? 1 : 0)}` : speed;
}

function tail({ seen, type, visitor, connection }) {
  if (seen.rows.length === 0)
    return type || visitor
      ? empty("Nothing that fits yet", "Events that fit this filter show here as they arrive.")
      : empty(
          connection === "open" ? "Listening" : "Not connected yet",
          "Events show here within a second of being sent. Open the shop in another tab and look at a product.",
        );
  return h("ol", { class: "tail", "aria-label": "Events" }, seen.rows.map(row));
}

const row = (event) => {
  const { tone, word } = outcome(event.outcome);
  return h(
    "li",
    { key: event.number, class: tone },
    h("time", { datetime: event.received_at, title: dateTime(event.received_at) }, time(event.received_at)),
    h("b", { class: "tail-type" }, event.type ? words(event.type) : "Unreadable"),
    event.outcome === "taken" ? h("span", { class: "tail-sign" }) : badge(tone, word),
    h(
      "span",
      { class: "tail-facts" },
      [
        whose(event) && h("code", { title: whose(event) }, shortId(whose(event), 20)),
        event.cart_id && h("a", { href: `#/carts/${encodeURIComponent(event.cart_id)}`, title: event.cart_id }, `cart ${shortId(event.cart_id)}`),
        event.items > 0 && `${count(event.items)} ${event.items === 1 ? "item" : "items"}`,
        event.amount !== undefined && event.currency && money(event.amount, event.currency),
        event.order_id && `order ${shortId(event.order_id)}`,
        late(event),
      ]
        .filter(Boolean)
        .map((fact, index) => h("span", { key: index }, fact)),
      event.reason && h("span", { key: "reason", class: "bad-text" }, event.reason),
    ),
  );
};

function late({ occurred_at: occurred, received_at: received }) {
  const off = moment(received) - moment(occurred);
  if (Math.abs(off) < 60_000) return null;
  return off > 0 ? `${duration(off)} late` : `${duration(-off)} in the future`;
}
