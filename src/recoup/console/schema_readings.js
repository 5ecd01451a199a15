// What the schemas screen reads out of the API's answers, and a form's rows as a migration's steps. Pure.

export const POLICIES = {
  reject: { name: "Refuse it", says: "It becomes a dead letter, with what is wrong and where." },
  warn: { name: "Keep it", says: "It is kept as it came and counted; the readiness page tells the shop." },
  migrate: { name: "Migrate it", says: "It need not fit the version it names, only what the migrations make of it." },
};

/** What a step does, and what it asks for beside its place. */
export const STEPS = {
  rename: { name: "Rename", asks: "to", hint: "new name" },
  move: { name: "Move", asks: "to", hint: "place.name" },
  convert: { name: "Convert to", asks: "to", options: ["string", "integer", "number", "boolean"] },
  minor_units: { name: "Money to minor units", asks: "currency", hint: "EUR or a place; else the event's" },
  default: { name: "Give a default", asks: "value", hint: '0, true or "text"' },
  drop: { name: "Drop" },
};

const OUTCOMES = {
  taken: { tone: "good", says: "It would be taken" },
  warned: { tone: "abandoned", says: "It would be kept and counted" },
  dead_letter: { tone: "bad", says: "It would be a dead letter" },
  unchecked: { tone: "skipped", says: "It would be kept unchecked: the registry does not answer" },
};

export const outcome = (name) => OUTCOMES[name] ?? { tone: "skipped", says: name };

/** Saved steps as rows of a form. */
export const rowsOf = (steps) =>
  steps.map(({ op, path, to, value, currency, currency_at: place }, id) => ({
    id,
    op,
    path,
    text: op === "default" ? JSON.stringify(value) : (to ?? currency ?? place ?? ""),
  }));

/** Rows of a form as steps; a default that is no JSON is text. */
export const stepsOf = (rows) =>
  rows.map(({ op, path, text }) => {
    const { asks } = STEPS[op];
    if (!asks || (op === "minor_units" && !text)) return { op, path };
    if (op === "minor_units") return { op, path, [/^[A-Z]{3}$/.test(text) ? "currency" : "currency_at"]: text };
    return { op, path, [asks]: asks === "value" ? valueOf(text) : text };
  });

function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An event of a version that a dry run may begin with: for a JSON Schema with something in every place it names. */
export function sampleOf(version) {
  const head = { schema_version: version.version };
  try {
    const made = madeFor(JSON.parse(version.schema), 0);
    return version.format !== "JSON" ? { ...head, properties: {} } : made.properties ? { ...made, ...head } : { ...head, properties: made };
  } catch {
    return { ...head, properties: {} };
  }
}

const PLAIN = { integer: 1, number: 1.5, string: "text", boolean: true, null: null };
const DEEPEST = 5;

function madeFor(schema, depth) {
  if (schema === null || typeof schema !== "object" || depth > DEEPEST) return null;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  const type = [schema.type].flat()[0] ?? (schema.properties || depth === 0 ? "object" : undefined);
  if (type === "object")
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, madeFor(inner, depth + 1)]));
  if (type === "array") return schema.items ? [madeFor(schema.items, depth + 1)] : [];
  if (type === "integer" || type === "number") return schema.minimum ?? schema.maximum ?? PLAIN[type];
  return PLAIN[type] ?? null;
}
