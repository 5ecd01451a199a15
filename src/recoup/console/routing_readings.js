// What routing's rules and destinations mean on the screen, and a form's rows as a condition. Pure.

const OPERATORS = {
  equals: "is",
  in: "is one of",
  starts_with: "starts with",
  contains: "contains",
  below: "is below",
  at_most: "is at most",
  above: "is above",
  at_least: "is at least",
  exists: "is there",
};
const JOINS = { all: " and ", any: " or " };

export const operatorWords = (operator) => OPERATORS[operator] ?? operator;

/** What may be said about a field: what the API lists, everything about `properties`, and all of it while it is typed. */
export function fieldNamed(fields, name) {
  const found = fields.find((field) => field.name === name);
  return found ?? { name, kind: "json", operators: Object.keys(OPERATORS) };
}

/** A condition as a form has it: rows that all or any have to fit; null where a form has no room for what it says. */
export function flat(when) {
  if (!when) return { join: "all", parts: [] };
  const join = when.any ? "any" : "all";
  const parts = when.all ?? when.any ?? [when];
  return parts.every(fitsARow) ? { join, parts: parts.map(asRow) } : null;
}

const fitsARow = ({ field, value }) => Boolean(field) && !(Array.isArray(value) && value.some((one) => String(one).includes(",")));

const asRow = ({ field, operator, value }, id) => ({ id, field, operator, value: valueText(value, field) });

function valueText(value, field) {
  if (value === undefined) return "";
  const each = (one) => (typeof one === "string" && field.startsWith("properties.") && literal(one) !== one ? JSON.stringify(one) : String(one));
  return Array.isArray(value) ? value.map(each).join(", ") : each(value);
}

/** The rows of a form as the API takes them; without rows there is no condition. */
export function conditionOf({ join, parts }, fields) {
  const found = parts.map(({ field, operator, value }) => {
    const { kind } = fieldNamed(fields, field);
    if (operator === "exists") return { field, operator };
    if (operator !== "in") return { field, operator, value: scalar(value, kind) };
    return { field, operator, value: value.split(",").map((one) => scalar(one, kind)).filter((one) => one !== "") };
  });
  if (found.length === 0) return null;
  return found.length === 1 ? found[0] : { [join]: found };
}

function scalar(text, kind) {
  const said = text.trim();
  if (kind === "number") return said !== "" && Number.isFinite(Number(said)) ? Number(said) : said;
  if (kind === "flag") return said === "true" ? true : said === "false" ? false : said;
  return kind === "json" ? literal(said) : said;
}

/** Of a property: 5 and true are a number and a flag, "5" in quotes is text, and so is everything else. */
function literal(text) {
  if (!/^(".*"|true|false|-?\d+(\.\d+)?)$/s.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A condition as a sentence. */
export function says(when) {
  if (!when) return "every event";
  if (when.not) return `not (${says(when.not)})`;
  for (const join of ["all", "any"])
    if (when[join]) return when[join].map((part) => (part.all || part.any ? `(${says(part)})` : says(part))).join(JOINS[join]);
  const value = Array.isArray(when.value) ? when.value.join(", ") : when.value;
  return [when.field, operatorWords(when.operator), value].filter((part) => part !== undefined).join(" ");
}

/** The part of a condition that a place such as `when.all[1].not` names. */
export const partAt = (when, place) =>
  [...place.matchAll(/\.(\w+)|\[(\d+)\]/g)].reduce((part, [, name, index]) => part?.[name ?? Number(index)], when);

/** What makes an event one of a segment's. */
const SEGMENTS = {
  crawler: { device_class: "crawler" },
  visitor: { user_id: null, user_orders: null },
  unknown: { user_orders: null },
  new: { user_orders: 0 },
  customer: { user_orders: 1 },
  repeat: { user_orders: 2 },
};

const beyond = (value, operator) =>
  typeof value === "number" ? value + (operator === "above" ? 1 : operator === "below" ? -1 : 0) : value;

/** An event that this condition may be tried on: an ordinary one, with what its comparisons ask for. */
export function sampleFor(when, now) {
  const sample = {
    type: "cart_abandoned",
    occurred_at: now,
    cart_id: "cart-1",
    user_id: "shopper-1",
    user_orders: 1,
    cart_value: 12900,
    currency: "USD",
    device_class: "mobile",
    items: [{ product_id: "mug-1", quantity: 1, price: 12900 }],
    properties: {},
  };
  for (const { field, operator, value } of comparisons(when)) {
    const wanted = Array.isArray(value) ? value[0] : value;
    if (field === "segment") Object.assign(sample, SEGMENTS[wanted]);
    else if (operator === "exists" && field.startsWith("properties.")) put(sample, field.split("."), true);
    else if (wanted !== undefined) put(sample, field.split("."), beyond(wanted, operator));
  }
  return sample;
}

function comparisons(when) {
  if (!when) return [];
  const parts = when.all ?? when.any;
  if (parts) return parts.flatMap(comparisons);
  return when.field ? [when] : [];
}

function put(sample, [first, ...rest], value) {
  if (first === "items") sample.items[0][rest[0]] = value;
  else if (rest.length === 0) sample[first] = value;
  else {
    let holder = (sample[first] ??= {});
    for (const name of rest.slice(0, -1)) holder = holder[name] = { ...holder[name] };
    holder[rest.at(-1)] = value;
  }
}

/** How many deliveries of a destination wait, were received and were given up. */
export function counted(queues, id) {
  const mine = queues.filter((queue) => queue.destination_id === id);
  const of = (status) => mine.find((queue) => queue.status === status)?.deliveries ?? 0;
  return { waiting: of("waiting"), delivered: of("delivered"), dead: of("dead") };
}

/** How a destination does, as a tone and a word. */
export function health({ state, failures, dropped }) {
  if (state === "paused") return { tone: "bad", word: "Stopped" };
  if (failures > 0) return { tone: "abandoned", word: "Failing" };
  if (dropped > 0) return { tone: "abandoned", word: "Queue was full" };
  return { tone: "good", word: "Ready" };
}

const DELIVERIES = {
  waiting: { tone: "open", word: "Waiting" },
  delivered: { tone: "good", word: "Received" },
  dead: { tone: "bad", word: "Given up" },
};

export const deliveryState = (status) => DELIVERIES[status] ?? { tone: "skipped", word: status };
