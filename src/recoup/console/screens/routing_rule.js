// One routing rule: what it means, where it leads, and whether it means a given event, before it is saved.

import { act, twice } from "../acts.js";
import { announce } from "../announce.js";
import { remove, replace, send } from "../api.js";
import { h } from "../dom.js";
import { dateTime, words } from "../format.js";
import { icon } from "../icons.js";
import { pretty } from "../letter_readings.js";
import { badge, choice, empty, panel, skeleton, trouble } from "../parts.js";
import { conditionOf, fieldNamed, flat, operatorWords, partAt, sampleFor, says } from "../routing_readings.js";
import { may } from "../session.js";
import { TYPES } from "./live.js";

const OURS = ["cart_abandoned", "cart_recovered", "cart_expired"];
const STARTED = new Date().toISOString();
const FIRST = { field: "type", operator: "equals", value: "" };

export function rule(id, places, screen) {
  const { feeds, state, set } = screen;
  if (!feeds.rules.data || !feeds.fields.data) return feeds.fields.problem ? trouble(feeds.fields.problem) : skeleton(8);
  const saved = feeds.rules.data.items.find((one) => one.id === id);
  if (id && !saved)
    return panel({ id: "rule", title: "No such rule", class: "reader" }, empty("It is not there", "Somebody may have deleted it."));
  // Asked anew by every handler: what was typed since the last drawing counts.
  const current = () => state.form ?? formOf(saved);
  const edit = (changes) => set({ form: { ...current(), ...changes(current()) }, trial: null, problem: null });
  const tell = (message) => set({ problem: Object.assign(new Error(message), { status: 0 }) });
  const view = { form: current(), current, edit, tell, places, fields: feeds.fields.data, mayWrite: may("settings:write") };
  return panel(
    { id: "rule", title: saved?.name ?? "New rule", class: "reader", note: saved && `copies since ${dateTime(saved.since)}` },
    h("p", { class: "only-phone", key: "back" }, h("a", { href: "#/routing" }, "Back to the list")),
    h(
      "fieldset",
      { class: "bare", key: `fields-${id ?? "new"}`, disabled: !view.mayWrite },
      h("legend", { class: "unseen" }, "Rule"),
      naming(view),
      condition(view),
      leading(view),
    ),
    trying(saved, view, screen),
    state.problem && trouble(state.problem),
    state.trial && verdict(state.trial),
  );
}

const formOf = (saved) => {
  const rows = flat(saved?.when ?? null);
  return {
    name: saved?.name ?? "",
    enabled: saved?.enabled ?? true,
    to: saved?.to ?? [],
    isText: rows === null,
    text: JSON.stringify(saved?.when ?? null, null, 2),
    join: rows?.join ?? "all",
    parts: saved ? (rows?.parts ?? []) : [{ id: 0, ...FIRST }],
  };
};

/** The condition that a form says; raises what is wrong with its text. */
function whenOf(form, fields) {
  if (!form.isText) return conditionOf(form, fields);
  try {
    return form.text.trim() ? JSON.parse(form.text) : null;
  } catch (error) {
    throw Object.assign(new Error(`The condition is no JSON: ${error.message}`), { status: 0 });
  }
}

const naming = ({ form, edit }) =>
  h(
    "div",
    { class: "schema-head", key: "name" },
    h(
      "label",
      { class: "field" },
      h("span", {}, "Name"),
      h("input", { value: form.name, maxlength: 100, placeholder: "large carts left behind", on: { input: (event) => edit(() => ({ name: event.target.value })) } }),
    ),
    h(
      "label",
      { class: "tick" },
      h("input", { type: "checkbox", checked: form.enabled, on: { change: (event) => edit(() => ({ enabled: event.target.checked })) } }),
      "Copies events",
    ),
  );

function condition(view) {
  const { form, current, edit, tell, fields } = view;
  const toText = (isText) => {
    if (isText) return edit((now) => ({ isText, text: JSON.stringify(conditionOf(now, fields.items), null, 2) }));
    const rows = flat(parsed(current().text));
    if (rows) edit(() => ({ isText, ...rows }));
    else tell("Rows have no room for this condition; it stays as JSON.");
    return undefined;
  };
  return h(
    "div",
    { class: "condition", key: "condition" },
    h(
      "div",
      { class: "condition-head", key: "head" },
      h("h3", {}, "When"),
      choice("The condition as", [[false, "Rows"], [true, "JSON"]], form.isText, toText),
    ),
    form.isText ? conditionText(view) : conditionRows(view),
  );
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { not: null };
  }
}

const conditionText = ({ form, edit }) =>
  h(
    "label",
    { class: "letter-edit", key: "text" },
    h("span", { class: "unseen" }, "The condition as JSON"),
    h("textarea", { rows: 10, spellcheck: "false", on: { input: (event) => edit(() => ({ text: event.target.value })) } }, form.text),
  );

function conditionRows(view) {
  const { form, edit, fields } = view;
  return h(
    "div",
    { key: "rows" },
    h("datalist", { id: "routing-fields" }, fields.items.map(({ name }) => h("option", { key: name, value: name }))),
    h("datalist", { id: "routing-types" }, [...OURS, ...TYPES].map((type) => h("option", { key: type, value: type }))),
    form.parts.length > 1 && choice("Of these rows", [["all", "All must fit"], ["any", "One must fit"]], form.join, (join) => edit(() => ({ join }))),
    form.parts.length === 0 && h("p", { class: "fine" }, "Every event is copied."),
    h("ol", { class: "conditions", "aria-label": "Conditions" }, form.parts.map((part, index) => row(part, index, view))),
    h("button", { type: "button", class: "button small", on: { click: () => edit(withAnother) } }, "Add a condition"),
    h("p", { class: "fine" }, "Beside the fields in the list: items.price, properties.NAME. What is not there fits nothing."),
  );
}

const withAnother = ({ parts }) => ({ parts: [...parts, { id: 1 + Math.max(-1, ...parts.map(({ id }) => id)), ...FIRST }] });

function row(part, index, { edit, fields }) {
  const field = fieldNamed(fields.items, part.field);
  const alter = (changes) => edit(({ parts }) => ({ parts: parts.map((one) => (one.id === part.id ? { ...one, ...changes(one) } : one)) }));
  const put = (changes) => alter(() => changes);
  const setField = (name) => {
    const { operators } = fieldNamed(fields.items, name);
    alter(({ operator }) => ({ field: name, operator: operators.includes(operator) ? operator : operators[0] }));
  };
  const label = (what) => `Condition ${index + 1}: ${what}`;
  return h(
    "li",
    { key: part.id },
    h("input", { "aria-label": label("field"), value: part.field, list: "routing-fields", spellcheck: "false", on: { input: (event) => setField(event.target.value.trim()) } }),
    h(
      "select",
      { key: `operator-${field.kind}`, "aria-label": label("comparison"), on: { change: (event) => put({ operator: event.target.value }) } },
      field.operators.map((operator) => h("option", { key: operator, value: operator, selected: operator === part.operator }, operatorWords(operator))),
    ),
    part.operator === "exists" ? h("span", { key: "nothing" }) : valueField(part, field, fields.segments, label("value"), (value) => put({ value })),
    h(
      "button",
      { type: "button", key: "drop", class: "icon-button", "aria-label": label("remove"), title: "Remove", on: { click: () => edit(({ parts }) => ({ parts: parts.filter((one) => one.id !== part.id) })) } },
      icon("cross"),
    ),
  );
}

function valueField(part, { name, kind }, segments, label, put) {
  const one = part.operator === "equals" ? { segment: segments, flag: ["true", "false"] }[name === "segment" ? "segment" : kind] : null;
  if (one)
    return h(
      "select",
      { key: "one", "aria-label": label, on: { change: (event) => put(event.target.value) } },
      h("option", { key: "", value: "", selected: part.value === "" }, "choose"),
      one.map((value) => h("option", { key: value, value, selected: value === part.value }, words(value))),
    );
  const hints = { time: "2026-06-01T12:00:00Z", number: "10000" };
  return h("input", {
    key: `value-${kind}-${name === "type"}`,
    "aria-label": label,
    value: part.value,
    list: name === "type" && part.operator !== "in" ? "routing-types" : null,
    placeholder: part.operator === "in" ? "one, two, three" : (hints[kind] ?? ""),
    spellcheck: "false",
    on: { input: (event) => put(event.target.value) },
  });
}

const leading = ({ form, edit, places }) =>
  h(
    "fieldset",
    { class: "bare", key: "to" },
    h("legend", {}, "Copied to"),
    places.length === 0 && h("p", { class: "fine" }, "There is no destination yet. ", h("a", { href: "#/routing/to/new" }, "Make one"), " first."),
    h(
      "div",
      { class: "ticks" },
      places.map(({ id, name, kind }) =>
        h(
          "label",
          { class: "tick", key: id },
          h("input", {
            type: "checkbox",
            checked: form.to.includes(id),
            on: { change: (event) => edit(({ to }) => ({ to: event.target.checked ? [...to, id] : to.filter((one) => one !== id) })) },
          }),
          name,
          h("span", { class: "fine" }, kind),
        ),
      ),
    ),
  );

function trying(saved, { form, current, fields, mayWrite }, screen) {
  const { state, set } = screen;
  const start = pretty(JSON.stringify(sampleFor(plain(form, fields.items), STARTED)));
  const attempt = () =>
    act(screen, async () => {
      const when = whenOf(current(), fields.items);
      const trial = await send("/routing/rules/try", { when, event: eventOf(state.sample ?? start) });
      set({ trial: { ...trial, when } });
      announce(trial.matches ? "It would be copied." : "It would not be copied.");
    });
  const save = () =>
    act(screen, async () => {
      const { name, enabled, to, ...said } = current();
      const body = { name: name.trim(), enabled, to, when: whenOf(said, fields.items) };
      const made = saved ? await replace(`/routing/rules/${saved.id}`, body) : await send("/routing/rules", body);
      announce("Saved; in force within seconds.");
      if (saved) set({ form: null });
      else location.hash = `#/routing/rule/${made.id}`;
    });
  const drop = async () => {
    await remove(`/routing/rules/${saved.id}`);
    announce("Deleted; what it has queued is still sent.");
    location.hash = "#/routing";
  };
  return h(
    "div",
    { key: "try" },
    h(
      "details",
      { class: "sample" },
      h("summary", {}, "The event it is tried on"),
      h(
        "label",
        { class: "letter-edit" },
        h("span", { class: "unseen" }, "The event it is tried on"),
        h("textarea", { rows: 16, spellcheck: "false", on: { input: (event) => set({ sample: event.target.value, trial: null }) } }, start),
      ),
    ),
    h(
      "div",
      { class: "letter-buttons" },
      h("button", { type: "button", class: "button", disabled: state.busy, on: { click: attempt } }, "Try"),
      mayWrite &&
        h("button", { type: "button", class: "button primary", disabled: state.busy || !form.name.trim() || form.to.length === 0, on: { click: save } }, "Save"),
      mayWrite && saved && twice(screen, { id: saved.id, label: `Delete ${saved.name}`, text: "Delete", step: drop }),
    ),
  );
}

const plain = (form, fields) => (form.isText ? parsed(form.text) : conditionOf(form, fields));

function eventOf(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw Object.assign(new Error(`The event is no JSON: ${error.message}`), { status: 0 });
  }
}

const verdict = ({ matches, segment, comparisons, when }) =>
  h(
    "section",
    { class: "letter-trial", key: "verdict", "aria-label": "Result of the try" },
    h(
      "p",
      { role: "status" },
      matches ? badge("good", "It would be copied") : badge("skipped", "It would not be copied"),
      h("span", { class: "fine" }, ` The shopper's segment: ${words(segment)}.`),
    ),
    h(
      "ul",
      { class: "answers" },
      comparisons.map(({ place: at, matches: fits }) =>
        h("li", { key: at, class: fits ? "good" : "bad" }, icon(fits ? "check" : "cross", 16), h("span", {}, says(partAt(when, at))), h("span", { class: "unseen" }, fits ? "fits" : "does not fit")),
      ),
    ),
  );
