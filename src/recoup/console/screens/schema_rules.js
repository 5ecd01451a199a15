// What becomes of events that break their schema, and how those of old versions are raised: set here, tried first.

import { act, twice } from "../acts.js";
import { announce } from "../announce.js";
import { remove, replace, send } from "../api.js";
import { h } from "../dom.js";
import { words } from "../format.js";
import { icon } from "../icons.js";
import { compared } from "../letter_readings.js";
import { badge, choice, complaints, from, panel, trouble } from "../parts.js";
import { outcome, POLICIES, rowsOf, sampleOf, STEPS, stepsOf } from "../schema_readings.js";
import { may } from "../session.js";

export const MODES = {
  NONE: "Any new version is taken.",
  BACKWARD: "A new version must read what the last one wrote.",
  BACKWARD_TRANSITIVE: "A new version must read what every version wrote.",
  FORWARD: "The last version must read what a new one writes.",
  FORWARD_TRANSITIVE: "Every version must read what a new one writes.",
  FULL: "A new version and the last one must read each other.",
  FULL_TRANSITIVE: "A new version and every other must read each other.",
};
const FIRST = { op: "rename", path: "", text: "" };

const at = (name) => `/schemas/${encodeURIComponent(name)}`;

/** Of one type: its policy and compatibility, and whether they are its own. */
export const subjectRules = ({ subject, settings }, screen) =>
  panel(
    { id: "rules", title: "Rules for this type" },
    policy(subject.on_violation, settings.on_violation ? "set for this type" : "as for all types", `${at(subject.name)}/settings`, screen),
    compatibility(subject.compatibility, settings.compatibility ? "set for this type" : "as for all types", `${at(subject.name)}/settings`, screen),
    state(screen),
  );

/** Of all types that set nothing themselves. */
export const storeRules = (feeds, screen) =>
  panel(
    { id: "rules", title: "Rules for all types" },
    from(feeds.rules, (settings) => [
      policy(settings.on_violation, "", "/schema-settings", screen),
      compatibility(settings.compatibility, "", "/schema-settings", screen),
    ], { lines: 4 }),
    h("p", { class: "fine", key: "unplanned" }, "Types for which nothing is registered are taken, counted or refused as ", h("code", {}, "unplanned_events"), " of the store's ", h("a", { href: "#/settings" }, "settings"), " says."),
    state(screen),
  );

const state = ({ state: { problem, problemIn } }) => problem && problemIn === "rules" && trouble(problem);

const set = (path, change, told, screen) => {
  screen.set({ problemIn: "rules" });
  return act(screen, async () => {
    await replace(path, change);
    announce(told);
  });
};

/** A choice with what it means below; for those who may not choose, the words alone. */
function chosen(title, note, options, value, choose) {
  const names = Object.entries(options).map(([key, { name }]) => [key, name]);
  return h(
    "div",
    { class: "rule", key: title },
    h("h3", {}, title, note && h("span", { class: "fine" }, ` ${note}`)),
    may("schemas:write") ? choice(title, names, value, choose) : h("p", {}, h("b", {}, options[value].name)),
    h("p", { class: "fine" }, options[value].says),
  );
}

const policy = (value, note, path, screen) =>
  chosen("When an event breaks its schema", note, POLICIES, value, (on_violation) =>
    set(path, { on_violation }, "Set; in force within moments.", screen),
  );

const compatibility = (value, note, path, screen) =>
  h(
    "div",
    { class: "rule", key: "compatibility" },
    h(
      "label",
      { class: "field narrow" },
      h("span", {}, "Compatibility", note && h("span", { class: "fine" }, ` ${note}`)),
      h(
        "select",
        { key: value, disabled: !may("schemas:write"), on: { change: (event) => set(path, { compatibility: event.target.value }, "Set.", screen) } },
        Object.keys(MODES).map((mode) => h("option", { key: mode, value: mode, selected: mode === value }, words(mode.toLowerCase()))),
      ),
    ),
    h("p", { class: "fine" }, MODES[value]),
  );

/** How events of one version become those of the next, and a dry run of that on an event. */
export function migrations({ subject, versions }, saved, screen) {
  const numbers = versions.map((one) => one.version);
  const source = screen.state.source ?? numbers.at(-2) ?? numbers.at(-1);
  const known = saved.find((one) => one.from_version === source);
  // Asked anew by every handler: what was typed since the last drawing counts.
  const current = () => screen.state.rows ?? rowsOf(known?.steps ?? []);
  const edit = (changed) => screen.set({ rows: changed(current()), trial: null, problem: null });
  return panel(
    { id: "migrations", title: "Migrations" },
    h(
      "label",
      { class: "field narrow from", key: "source" },
      h("span", {}, "Events of"),
      h(
        "select",
        { on: { change: (event) => screen.set({ source: Number(event.target.value), rows: null, sample: null, trial: null, problem: null }) } },
        numbers.map((number) => h("option", { key: number, value: number, selected: number === source }, `version ${number}, to become ${number + 1}`)),
      ),
    ),
    stepList(current(), edit, source),
    trying(subject.name, { source, known, current, version: versions.find((one) => one.version === source) }, screen),
  );
}

const stepList = (rows, edit, source) =>
  h(
    "fieldset",
    { class: "bare", key: `steps-${source}`, disabled: !may("schemas:write") },
    h("legend", { class: "unseen" }, "Steps"),
    rows.length === 0 && h("p", { class: "fine" }, "No steps: events of this version stay what they are."),
    h("ol", { class: "conditions migration", "aria-label": "Steps" }, rows.map((row, index) => stepRow(row, index, edit))),
    h("button", { type: "button", class: "button small", on: { click: () => edit(withAnother) } }, "Add a step"),
    h("p", { class: "fine" }, "Places are in the event's properties: place.floor, lines[].sku. Steps are taken in order; one that finds nothing leaves things as they are."),
  );

const withAnother = (rows) => [...rows, { id: 1 + Math.max(-1, ...rows.map(({ id }) => id)), ...FIRST }];

function stepRow(row, index, edit) {
  const put = (changes) => edit((rows) => rows.map((one) => (one.id === row.id ? { ...one, ...changes } : one)));
  const label = (what) => `Step ${index + 1}: ${what}`;
  const { asks, options, hint } = STEPS[row.op];
  const setOp = (op) => put({ op, text: STEPS[op].options?.[0] ?? "" });
  const earlier = () => edit((rows) => rows.map((_, place) => rows[place === index - 1 ? index : place === index ? index - 1 : place]));
  return h(
    "li",
    { key: row.id },
    h(
      "select",
      { "aria-label": label("what"), on: { change: (event) => setOp(event.target.value) } },
      Object.entries(STEPS).map(([op, { name }]) => h("option", { key: op, value: op, selected: op === row.op }, name)),
    ),
    h("input", { "aria-label": label("place"), value: row.path, placeholder: "place", spellcheck: "false", on: { input: (event) => put({ path: event.target.value.trim() }) } }),
    options
      ? h("select", { key: "type", "aria-label": label("type"), on: { change: (event) => put({ text: event.target.value }) } }, options.map((type) => h("option", { key: type, value: type, selected: type === row.text }, type)))
      : asks
        ? h("input", { key: row.op, "aria-label": label(asks), value: row.text, placeholder: hint, spellcheck: "false", on: { input: (event) => put({ text: event.target.value.trim() }) } })
        : h("span", { key: "nothing" }),
    h("button", { type: "button", key: "up", class: "icon-button", disabled: index === 0, "aria-label": label("take earlier"), title: "Take earlier", on: { click: earlier } }, icon("up")),
    h("button", { type: "button", key: "drop", class: "icon-button", "aria-label": label("remove"), title: "Remove", on: { click: () => edit((rows) => rows.filter((one) => one.id !== row.id)) } }, icon("cross")),
  );
}

function trying(name, { source, known, current, version }, screen) {
  const { state: held, set: put } = screen;
  const start = JSON.stringify(sampleOf(version), null, 2);
  const doing = (step) => () => {
    put({ problemIn: "migrations" });
    return act(screen, step);
  };
  const attempt = doing(async () => {
    const event = parsed(held.sample ?? start);
    const rows = current();
    const trial = await send(`/events/schemas/${encodeURIComponent(name)}/try`, { event, steps: rows.length ? stepsOf(rows) : null });
    put({ trial: { ...trial, before: event.properties ?? {} } });
    announce(outcome(trial.outcome).says);
  });
  const save = doing(async () => {
    await replace(`${at(name)}/migrations/${source}`, { steps: stepsOf(current()) });
    put({ rows: null });
    announce("Saved; in force within moments.");
  });
  const drop = async () => {
    put({ problemIn: "migrations" });
    await remove(`${at(name)}/migrations/${source}`);
    put({ rows: null, trial: null });
    announce("Events of that version stay what they are.");
  };
  return h(
    "div",
    { key: `try-${source}` },
    h(
      "label",
      { class: "letter-edit" },
      h("span", {}, "An event to try it on"),
      h("textarea", { rows: 8, spellcheck: "false", on: { input: (event) => put({ sample: event.target.value, trial: null }) } }, start),
    ),
    h(
      "div",
      { class: "letter-buttons" },
      h("button", { type: "button", class: "button", disabled: held.busy, on: { click: attempt } }, "Try it"),
      may("schemas:write") && h("button", { type: "button", class: "button primary", disabled: held.busy || !held.rows?.length, on: { click: save } }, "Save the steps"),
      may("schemas:write") && known && twice(screen, { id: `migration ${source}`, label: `Delete the migration from version ${source}`, text: "Delete", step: drop }),
    ),
    held.problem && held.problemIn === "migrations" && trouble(held.problem),
    held.trial && trialView(held.trial),
  );
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw Object.assign(new Error(`The event is no JSON: ${error.message}`), { status: 0 });
  }
}

function trialView(trial) {
  const { tone, says } = outcome(trial.outcome);
  return h(
    "section",
    { class: "letter-trial", key: "trial", "aria-label": "Result of the dry run" },
    h("p", { role: "status" }, badge(tone, says), h("span", { class: "fine" }, trial.against ? ` It breaks version ${trial.against}.` : ` As version ${trial.version}.`)),
    trial.violations.length > 0 && complaints(trial.violations.map(({ kind, field, detail }) => ({ code: kind, field, detail }))),
    trial.properties &&
      h(
        "pre",
        { class: "mail-text", tabindex: 0, "aria-label": "Properties before and after" },
        compared(JSON.stringify(trial.before), JSON.stringify(trial.properties)).map(({ sign, text }, index) =>
          h("span", { key: index, class: sign === "+" ? "added" : sign === "-" ? "gone" : null }, `${sign} ${text}\n`),
        ),
      ),
  );
}
