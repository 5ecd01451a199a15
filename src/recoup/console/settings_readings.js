// What a store's settings and flags mean on the screen, and what was typed as a value. Pure.

/** A value as it stands in a field. */
export const asText = (value) => (Array.isArray(value) ? value.join(", ") : value === null ? "" : String(value));

/** A value as a history shows it. */
export const shown = (value) => (value === null || value === undefined || value === "" ? "nothing" : asText(value) || "nothing");

/** What was typed as a value of the kind a setting accepts; what is none stays as it was typed, and is refused. */
export function asValue(text, accepts) {
  if (accepts.type === "boolean") return text === true;
  if (accepts.type === "integer" || accepts.type === "number") return asNumber(text);
  if (accepts.type !== "array") return text;
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return accepts.items.type === "integer" ? parts.map(asNumber) : parts;
}

const asNumber = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));

/** All settings as they are, with those a version was written without at their default. */
export const whole = (definitions, written) =>
  Object.fromEntries(definitions.map(({ name, default: usual }) => [name, written[name] ?? usual]));

/** Settings with what was typed laid over them. */
export const edited = (definitions, current, draft) =>
  Object.fromEntries(
    definitions.map(({ name, accepts }) => [name, name in draft ? asValue(draft[name], accepts) : current[name]]),
  );

/** Whom a flag serves what, in a few words. */
export function servedWords({ enabled, rules, serve, prerequisites, off_variant: off, starts_at: start, ends_at: end }) {
  if (!enabled) return `Off: ${off} for everybody`;
  const shares = serve.map(({ variant, percent }) => (percent === 100 ? variant : `${variant} ${percent} %`)).join(", ");
  return [
    rules.length > 0 && `${rules.length === 1 ? "1 rule" : `${rules.length} rules`}, then`,
    shares,
    prerequisites.length > 0 && `after ${prerequisites.map(({ flag }) => flag).join(", ")}`,
    (start || end) && "by schedule",
  ]
    .filter(Boolean)
    .join(" ");
}

const STALE = { not_evaluated: "nobody asks for it", not_changed: "not changed for long" };

export const staleWords = (reasons) => reasons.map((reason) => STALE[reason] ?? reason).join(", ");

const WHY = {
  off: "the flag is off",
  before_start: "its time has not come",
  after_end: "its time is over",
  prerequisite: "a flag it waits for serves something else",
  split: "by the person's place in the shares",
  fixed: "everybody is served this",
  otherwise: "no rule fits",
};

export const whyWords = ({ why, rule }) => (why === "rule" ? `rule ${rule + 1} fits` : (WHY[why] ?? why));
