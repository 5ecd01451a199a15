// What answers about carts mean on the screen: cards of the board, and one cart's story as a list of moments. Pure.

import { dateTime, moment, money, percent, plural, words } from "./format.js";

const OUTCOMES = { contact: "Contact", held_out: "Held out", skipped: "Left alone" };

/** How the answers of the rules are introduced; the names are those of the decision. */
export const RULES = {
  cart_open: "Still open",
  threshold: "Likely enough",
  reachable: "Reachable",
  timing: "Right time",
  store_rules: "Store's own rules",
  permission: "Permission",
  frequency: "Not too often",
  holdout: "Not held out",
};

export const outcomeName = (outcome) => OUTCOMES[outcome] ?? words(outcome);

const keyOf = (cartId, number) => `${cartId}#${number}`;

/** A cart of the board as its card shows it; `pending` are the messages that still wait for their time. */
export function card(cart, pending = new Map()) {
  const key = keyOf(cart.cart_id, cart.number);
  return {
    key,
    cartId: cart.cart_id,
    number: cart.number,
    value: cart.value,
    currency: cart.currency,
    items: { text: itemsText(cart.items, cart.item_count), names: cart.items.map(itemName) },
    who: cart.user_id ?? cart.anonymous_id ?? "",
    at: moment(cart.last_activity_at),
    probability: cart.probability,
    ...nextStep(cart, pending.get(key)),
  };
}

/** Messages that wait for their time, by cart. */
export const pendingByCart = (listed) => new Map(listed.map((each) => [keyOf(each.cart_id, each.cart_number), each]));

/** What comes next for a cart, or why nothing does. */
export function nextStep({ stage, outcome, why, next }, pending) {
  if (stage === "recovered" || stage === "converted") return { next: "", tone: "" };
  if (pending)
    return { next: `${channelName(pending.channel, true)} due ${dateTime(pending.due_at)}`, tone: "contacted" };
  if (next) return { next, tone: outcome === "contact" ? "contacted" : "" };
  if (outcome === "held_out") return { next: "Held out, to compare with", tone: "held_out" };
  if (outcome === "skipped") return { next: `Left alone: ${why || "a rule said no"}`, tone: "skipped" };
  return { next: "", tone: "" };
}

export const itemName = (item) => item.name ?? item.product_id;

export function itemsText(items, pieces = undefined) {
  if (items.length === 0) return pieces ? plural(pieces, "item") : "No items";
  const [first, ...others] = items;
  const times = first.quantity > 1 ? `${first.quantity} × ` : "";
  return `${times}${itemName(first)}${others.length ? ` and ${others.length} more` : ""}`;
}

export function matching(cards, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return cards;
  return cards.filter(({ cartId, who, items }) =>
    [cartId, who, ...items.names].some((word) => word.toLowerCase().includes(wanted)),
  );
}

const ORDERS = {
  recent: (left, right) => right.at - left.at,
  value: (left, right) => right.value - left.value,
  chance: (left, right) => (right.probability ?? -1) - (left.probability ?? -1),
};

export const sorted = (cards, by) => [...cards].sort(ORDERS[by]);

/** The newest moment of all cards: the store's clock as far as the board knows it. */
export const newest = (cards) => cards.reduce((latest, { at }) => Math.max(latest, at), 0);

/** Values added up by currency: never one sum over several. */
export function total(cards) {
  const sums = new Map();
  for (const { value, currency } of cards) sums.set(currency, (sums.get(currency) ?? 0) + value);
  return [...sums].map(([currency, value]) => ({ currency, value }));
}

/** One cart's story: everything that is known of it, as moments in their order. */
export function story({ events, predictions, decisions, deliveries, conversions }) {
  const moments = [
    ...events.map(eventMoment),
    ...predictions.map(predictionMoment),
    ...decisions.map(decisionMoment),
    ...deliveries.map(deliveryMoment),
    ...conversions.map(conversionMoment),
  ];
  return moments.sort((left, right) => left.at - right.at || RANKS[left.kind] - RANKS[right.kind]);
}

const RANKS = { event: 0, derived: 1, prediction: 2, decision: 3, delivery: 4, conversion: 5 };
const DERIVED = new Set(["cart_abandoned", "cart_recovered", "cart_expired"]);

const eventMoment = (event) => ({
  kind: DERIVED.has(event.type) ? "derived" : "event",
  key: `event-${event.event_id}`,
  at: moment(event.occurred_at),
  type: event.type,
  title: words(event.type),
  tone: { cart_abandoned: "abandoned", cart_recovered: "recovered", order_completed: "recovered" }[event.type] ?? "",
  detail: eventDetail(event),
});

function eventDetail({
  items,
  amount,
  currency,
  cart_value: value,
  cart_change: change,
  cart_number: number,
  order_id: order,
  page_url: page,
}) {
  return [
    change === "opened" && number > 1 && `begins cart no. ${number}`,
    items.map((item) => `${item.quantity > 1 ? `${item.quantity} × ` : ""}${itemName(item)}`).join(", "),
    amount ? money(amount, currency) : value > 0 && currency && `cart ${money(value, currency)}`,
    order && `order ${order}`,
    items.length === 0 && page,
  ]
    .filter(Boolean)
    .join(" · ");
}

const predictionMoment = (prediction) => ({
  kind: "prediction",
  key: `prediction-${prediction.id}`,
  at: moment(prediction.occurred_at),
  title: `${percent(prediction.probability)} likely to buy`,
  probability: prediction.probability,
  confidence: prediction.confidence,
  action: prediction.action,
  reasons: prediction.reasons,
  model: prediction.model_version,
});

const decisionMoment = (decision) => ({
  kind: "decision",
  key: `decision-${decision.intervention_id}`,
  at: moment(decision.occurred_at),
  outcome: decision.outcome,
  title: `${outcomeName(decision.outcome)}${decision.channel && decision.outcome === "contact" ? ` by ${channelName(decision.channel)}` : ""}`,
  tone: { contact: "contacted", held_out: "held_out" }[decision.outcome] ?? "skipped",
  rules: decision.rules,
  action: decision.action,
  discount: decision.discount_percent,
  propensity: decision.propensity,
});

const DELIVERIES = {
  delivered: "Message delivered",
  failed: "Delivery failed",
  cancelled: "Message cancelled",
  expired: "Message expired",
  seen: "Seen",
  opened: "Opened",
  clicked: "Clicked",
  dismissed: "Dismissed",
  unsubscribed: "Unsubscribed",
};

const deliveryMoment = (step) => ({
  kind: "delivery",
  key: `delivery-${step.id}`,
  at: moment(step.occurred_at),
  step: step.kind,
  title: DELIVERIES[step.kind] ?? words(step.kind),
  tone: { failed: "bad", cancelled: "skipped", expired: "skipped" }[step.kind] ?? "contacted",
  detail: [
    step.channel && `by ${channelName(step.channel)}`,
    step.detail,
    step.machine && "by a machine, so it does not count",
  ]
    .filter(Boolean)
    .join(" · "),
});

const conversionMoment = (conversion) => ({
  kind: "conversion",
  key: `conversion-${conversion.id}`,
  at: moment(conversion.occurred_at),
  title:
    conversion.amount < 0
      ? `${money(-conversion.amount, conversion.currency)} of an order taken back`
      : `Order over ${money(conversion.amount, conversion.currency)}`,
  tone: conversion.amount < 0 ? "" : "recovered",
  detail: conversion.amount < 0 ? "Cancelled or refunded; it no longer counts." : conversion.attributed
    ? "Attributed: our message was the last touch before it."
    : "Not attributed: no message of ours was the last touch before it.",
});

const CHANNELS = { websocket: ["the shop's page", "Message on the shop's page"], email: ["e-mail", "E-mail"] };

export const channelName = (channel, alone = false) => CHANNELS[channel]?.[alone ? 1 : 0] ?? words(channel);

/** What a cart's last decision says to somebody in a hurry. */
export function verdict(moments) {
  const last = moments.findLast(({ kind }) => kind === "decision");
  if (!last) return null;
  const against = last.rules.filter(({ passed }) => !passed);
  if (last.outcome === "contact") return { ...last, says: `All ${last.rules.length} rules agreed.` };
  if (last.outcome === "held_out")
    return { ...last, says: "Every rule agreed, but this person is left alone so that the effect can be measured." };
  const [first, ...others] = against;
  if (!first) return { ...last, says: "Nobody was contacted." };
  const more = others.length
    ? ` So did ${others.map(({ rule }) => `“${RULES[rule] ?? words(rule)}”`).join(", ")}.`
    : "";
  return { ...last, says: `“${RULES[first.rule] ?? words(first.rule)}” said no: ${first.detail}.${more}` };
}
