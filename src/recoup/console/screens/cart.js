// One cart from its first event to its outcome: what happened, what was predicted, what was decided, why and why not.

import { read } from "../api.js";
import { h } from "../dom.js";
import { day, money, percent, plural, shortId, time, words } from "../format.js";
import { icon } from "../icons.js";
import { badge, from, heading, panel, skeleton, STAGES, terms, trouble } from "../parts.js";
import { card, itemName, RULES, story, verdict } from "../cart_readings.js";

const ICONS = {
  event: "dot",
  derived: "clock",
  prediction: "spark",
  decision: "fork",
  delivery: "send",
  conversion: "order",
};
const STEP_ICONS = {
  seen: "eye",
  opened: "eye",
  clicked: "check",
  dismissed: "cross",
  failed: "alert",
  cancelled: "cross",
  expired: "clock",
};

export const cart = {
  title: "Cart",
  sources: ({ params }) => ({
    cart: { read: (signal) => read(`/carts/${encodeURIComponent(params.cartId)}`, {}, signal), every: 3000 },
  }),

  view({ feeds, params, refresh }) {
    const { data, problem } = feeds.cart;
    return [
      h("p", { class: "crumb", key: "crumb" }, h("a", { href: "#/carts" }, icon("back", 18), "All carts")),
      heading(`Cart ${shortId(params.cartId, 22)}`, data && stageBadge(data)),
      data ? null : problem ? trouble(problem, refresh) : skeleton(6),
      data && h("div", { class: "cart", key: "cart" }, aside(data), timeline(feeds.cart)),
    ].filter(Boolean);
  },
};

const stageBadge = ({ stage }) => badge(stage, STAGES[stage]?.name ?? words(stage));

function aside(data) {
  const { value, currency, who, number } = card(data);
  const judged = verdict(story(data));
  return h(
    "div",
    { class: "cart-aside", key: "aside" },
    judged &&
      h(
        "section",
        { class: `panel verdict ${judged.tone}`, key: "verdict", "aria-label": "Decision" },
        h("p", { class: "verdict-title" }, icon("fork"), judged.title),
        h("p", {}, judged.says),
      ),
    panel(
      { id: "contents", title: "Contents", note: h("b", {}, money(value, currency)) },
      h(
        "ul",
        { class: "items" },
        (data.items ?? []).map((item) => itemView(item, currency)),
      ),
      terms(
        [
          ["Cart", h("code", {}, data.cart_id)],
          ["Shopper", who ? h("code", {}, who) : "unknown"],
          ...(number > 1 ? [["Under this id", `the ${number}th cart`]] : []),
        ],
        "stacked",
      ),
    ),
  );
}

const itemView = (item, currency) =>
  h(
    "li",
    { key: item.product_id },
    h("span", {}, itemName(item), item.quantity > 1 && h("span", { class: "fine" }, ` × ${item.quantity}`)),
    h("span", { class: "number" }, money(item.price * item.quantity, currency)),
  );

function timeline(feed) {
  return panel(
    { id: "story", title: "What happened, and why", class: "story" },
    from(feed, (data) => {
      const moments = story(data);
      if (moments.length === 0) return h("p", { class: "fine" }, "Nothing is known of this cart yet.");
      return h(
        "ol",
        { class: "timeline" },
        moments.flatMap((each, index) => withDay(each, moments[index - 1])),
      );
    }),
  );
}

function withDay(each, before) {
  const view = h(
    "li",
    { class: `moment ${each.kind} ${each.tone ?? ""}`, key: each.key },
    h("span", { class: "moment-icon" }, icon(STEP_ICONS[each.step] ?? ICONS[each.kind], 18)),
    h(
      "div",
      { class: "moment-body" },
      h(
        "p",
        { class: "moment-title" },
        h("b", {}, each.title),
        h("time", { class: "fine", datetime: new Date(each.at).toISOString() }, time(each.at)),
      ),
      each.detail && h("p", { class: "moment-detail" }, each.detail),
      each.kind === "prediction" && prediction(each),
      each.kind === "decision" && decision(each),
    ),
  );
  if (before && day(before.at) === day(each.at)) return [view];
  return [h("li", { class: "moment-day", key: `day-${each.key}` }, day(each.at)), view];
}

const prediction = ({ probability, confidence, reasons, model, action }) => [
  h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { width: percent(probability, 1) } })),
  reasons.length > 0 &&
    h(
      "ul",
      { class: "reasons" },
      reasons.map((reason) => h("li", {}, reason)),
    ),
  h(
    "p",
    { class: "fine" },
    [
      action && `recommends ${words(action).toLowerCase()}`,
      confidence !== undefined && `${percent(confidence)} confident`,
      model && `model ${model}`,
    ]
      .filter(Boolean)
      .join(" · "),
  ),
];

const decision = ({ rules, action, discount, outcome, propensity }) => [
  h(
    "ul",
    { class: "rules", "aria-label": "Answers of the rules" },
    rules.map(({ rule, passed, detail }) =>
      h(
        "li",
        { key: rule, class: passed ? "passed" : "stopped" },
        h(
          "span",
          { class: "rule-mark" },
          icon(passed ? "check" : "cross", 16),
          h("span", { class: "unseen" }, passed ? "Passed: " : "Stopped: "),
        ),
        h("span", { class: "rule-name" }, RULES[rule] ?? words(rule)),
        h("span", { class: "rule-detail" }, detail),
      ),
    ),
  ),
  h(
    "p",
    { class: "fine" },
    [
      outcome === "contact" &&
        action &&
        action !== "none" &&
        `offers ${words(action).toLowerCase()}${discount ? ` of ${discount} %` : ""}`,
      `${plural(rules.length, "rule")} asked`,
      propensity !== undefined && propensity < 1 && `this outcome had a chance of ${percent(propensity)}`,
    ]
      .filter(Boolean)
      .join(" · "),
  ),
];
