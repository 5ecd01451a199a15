// The cart board: every cart in the column of its stage, with what is predicted and what happens next.

import { read } from "../api.js";
import { bigMoney, count, duration, money, percent, shortId } from "../format.js";
import { h } from "../dom.js";
import { icon } from "../icons.js";
import { empty, from, heading, STAGES, trouble } from "../parts.js";
import { card, matching, newest, pendingByCart, sorted, total } from "../cart_readings.js";

const COLUMNS = ["open", "abandoned", "contacted", "recovered", "converted"];
const SORTS = [
  ["recent", "Newest first"],
  ["value", "Highest value"],
  ["chance", "Likeliest to buy"],
];
const PAGE = 60;

export const carts = {
  title: "Carts",
  state: { text: "", sort: "recent", stage: "abandoned", chosen: false },

  sources: () => ({
    pending: { read: (signal) => read("/interventions", { status: "pending", limit: 500 }, signal), every: 5000 },
    ...Object.fromEntries(
      COLUMNS.map((stage) => [
        stage,
        { read: (signal) => read("/carts", { stage, limit: PAGE }, signal), every: 3000 },
      ]),
    ),
  }),

  view({ feeds, state, set, refresh }) {
    const pending = pendingByCart(feeds.pending.data?.items ?? []);
    const columns = COLUMNS.map((stage) => column(stage, feeds[stage], { state, pending }));
    const now = newest(columns.flatMap(({ cards }) => cards));
    const loaded = columns.every(({ feed }) => feed.data);
    const broken = columns.filter(({ feed }) => feed.problem && !feed.data);
    const phone = state.chosen ? state.stage : (columns.find(({ cards }) => cards.length > 0)?.stage ?? state.stage);
    const content = () => {
      if (broken.length === columns.length) return [trouble(broken[0].feed.problem, refresh)];
      if (loaded && columns.every(({ known }) => known === 0)) return [none()];
      return [board(columns, { phone, now, set, refresh, state })];
    };
    return [heading("Carts", filters(state, set)), ...content()];
  },
};

function column(stage, feed, { state, pending }) {
  const all = (feed.data?.items ?? []).map((cart) => card(cart, pending));
  return {
    stage,
    feed,
    known: all.length,
    more: Boolean(feed.data?.next_cursor),
    cards: sorted(matching(all, state.text), state.sort),
  };
}

const none = () =>
  h(
    "div",
    { class: "panel", key: "none" },
    empty(
      "No carts yet",
      "A cart appears as soon as an event with a cart_id and items arrives, for instance product_added.",
    ),
  );

const filters = (state, set) => [
  h(
    "label",
    { class: "search", key: "search" },
    h("span", { class: "unseen" }, "Filter by cart, shopper or product"),
    icon("search", 18),
    h("input", {
      type: "search",
      placeholder: "Cart, shopper, product",
      value: state.text,
      on: { input: (event) => set({ text: event.target.value }) },
    }),
  ),
  h(
    "label",
    { class: "select", key: "sort" },
    h("span", { class: "unseen" }, "Order"),
    h(
      "select",
      { on: { change: (event) => set({ sort: event.target.value }) } },
      SORTS.map(([value, name]) => h("option", { key: value, value, selected: value === state.sort }, name)),
    ),
  ),
];

const board = (columns, { phone, now, set, refresh, state }) =>
  h(
    "div",
    { class: "board", key: "board" },
    h(
      "div",
      { class: "board-tabs", role: "group", "aria-label": "Stage" },
      columns.map(({ stage, cards, more }) =>
        h(
          "button",
          {
            type: "button",
            key: stage,
            class: stage,
            "aria-pressed": String(stage === phone),
            on: { click: () => set({ stage, chosen: true }) },
          },
          STAGES[stage].name,
          h("span", { class: "fine" }, howMany(cards.length, more)),
        ),
      ),
    ),
    columns.map((each) => columnView(each, { shown: each.stage === phone, now, refresh, filtered: state.text !== "" })),
  );

const howMany = (length, more) => `${count(length)}${more ? "+" : ""}`;

const columnView = ({ stage, feed, cards, more }, { shown, now, refresh, filtered }) =>
  h(
    "section",
    { class: `column ${stage} ${shown ? "shown" : ""}`, key: stage, "aria-labelledby": `column-${stage}` },
    h(
      "header",
      { class: "column-head", title: STAGES[stage].says },
      h(
        "h2",
        { id: `column-${stage}` },
        STAGES[stage].name,
        h("span", { class: "column-count" }, howMany(cards.length, more)),
      ),
      h(
        "p",
        { class: "fine" },
        total(cards)
          .map(({ value, currency }) => bigMoney(value, currency))
          .join(" · ") || "nothing",
      ),
    ),
    from(
      feed,
      () =>
        cards.length === 0
          ? h("p", { class: "column-empty" }, filtered ? "None matches." : STAGES[stage].says)
          : h(
              "ul",
              { class: "cards" },
              cards.map((each) => h("li", { key: each.key }, cardView(each, now))),
            ),
      { lines: 4, retry: refresh },
    ),
    more && h("p", { class: "fine column-more" }, `The newest ${PAGE} are shown.`),
  );

const cardView = ({ cartId, number, value, currency, items, who, at, probability, next, tone }, now) =>
  h(
    "a",
    { class: "card", href: `#/carts/${encodeURIComponent(cartId)}`, title: cartId },
    h(
      "span",
      { class: "card-top" },
      h("span", { class: "card-value" }, money(value, currency)),
      h(
        "span",
        { class: "fine", title: "since its last event, on the store's clock" },
        now - at < 60_000 ? "now" : duration(now - at),
      ),
    ),
    h("span", { class: "card-items" }, items.text),
    h(
      "span",
      { class: "card-foot fine" },
      h("span", {}, shortId(who || cartId, 16), number > 1 ? ` · no. ${number}` : ""),
      probability !== null &&
        h(
          "span",
          { class: "chance", title: "predicted probability of an order" },
          h("span", { class: "chance-bar", "aria-hidden": "true", style: { "--chance": String(probability) } }),
          h("span", { class: "unseen" }, "Chance to buy "),
          percent(probability),
        ),
    ),
    next && h("span", { class: `card-next ${tone}` }, next),
  );
