// The store's event schemas: which there are, their versions, and a new one, checked before it is saved.

import { act, twice } from "../acts.js";
import { read, remove, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, dateTime, plural, words } from "../format.js";
import { pretty } from "../letter_readings.js";
import { badge, complaints, empty, eventTabs, from, heading, panel, terms, trouble } from "../parts.js";
import { may } from "../session.js";
import { migrations, MODES, storeRules, subjectRules } from "./schema_rules.js";

const FORMATS = ["JSON", "AVRO", "PROTOBUF"];
const FIRST = { JSON: '{\n  "type": "object",\n  "properties": {}\n}', AVRO: '{\n  "type": "record",\n  "name": "Event",\n  "fields": []\n}', PROTOBUF: 'syntax = "proto3";\n\nmessage Event {\n}' };

export const schemas = {
  title: "Schemas",
  state: {
    name: "", format: "JSON", version: null, text: null, verdict: null, problem: null, problemIn: "", busy: false, asked: null,
    source: null, rows: null, sample: null, trial: null,
  },

  sources: ({ params }) => ({
    list: { read: (signal) => read("/schemas", { limit: 200 }, signal), every: 15_000 },
    ...(params.name
      ? {
          subject: { read: (signal) => read(at(params.name), { deleted: true }, signal), every: 15_000 },
          migrations: { read: (signal) => read(`${at(params.name)}/migrations`, {}, signal), every: 15_000 },
        }
      : { rules: { read: (signal) => read("/schema-settings", {}, signal), every: 15_000 } }),
  }),

  view(screen) {
    const { feeds, params, refresh } = screen;
    return [
      eventTabs("schemas"),
      heading("Schemas", params.name && h("a", { class: "button small", href: "#/schemas" }, "New schema")),
      h(
        "div",
        { class: `schemas ${params.name ? "reading" : ""}`, key: "schemas" },
        panel(
          { id: "subjects", title: "Registered" },
          from(feeds.list, ({ items }) => list(items, params.name), { lines: 6, retry: refresh }),
        ),
        h(
          "div",
          { class: "schemas-side", key: "side" },
          params.name
            ? from(feeds.subject ?? { data: null }, (subject) => one(subject, feeds.migrations, screen), { lines: 8, retry: refresh })
            : [fresh(screen), storeRules(feeds, screen)],
        ),
      ),
    ];
  },
};

const one = (subject, feed, screen) => [
  detail(subject, screen),
  subject.subject.state === "active" && subjectRules(subject, screen),
  subject.subject.state === "active" && from(feed ?? { data: null }, ({ items }) => migrations(subject, items, screen)),
];

const at = (name) => `/schemas/${encodeURIComponent(name)}`;

const list = (items, chosen) =>
  items.length === 0
    ? empty("No schema yet", "Events are held against the common vocabulary. Register a schema under the name of a type to say what that type must carry.")
    : h(
        "nav",
        { class: "mails", "aria-label": "Registered schemas" },
        h(
          "ul",
          {},
          items.map((subject) =>
            h(
              "li",
              { key: subject.name },
              h(
                "a",
                { href: `#/schemas/${encodeURIComponent(subject.name)}`, "aria-current": subject.name === chosen ? "true" : null },
                h("span", { class: "mail-top" }, h("b", {}, subject.name), h("span", { class: "fine" }, `version ${subject.latest}`)),
                h("span", { class: "mail-subject" }, `${words(subject.format.toLowerCase())}, ${words(subject.compatibility.toLowerCase())}`),
              ),
            ),
          ),
        ),
      );

function fresh(screen) {
  const { state, set } = screen;
  const change = (changes) => set({ ...changes, verdict: null, problem: null });
  return panel(
    { id: "new", title: "New schema" },
    h(
      "div",
      { class: "schema-head" },
      h(
        "label",
        { class: "field" },
        h("span", {}, "Name: the event's type"),
        h("input", { value: state.name, placeholder: "product_viewed", spellcheck: "false", on: { input: (event) => change({ name: event.target.value.trim() }) } }),
      ),
      h(
        "label",
        { class: "field" },
        h("span", {}, "Format"),
        h(
          "select",
          { on: { change: (event) => change({ format: event.target.value, text: null }) } },
          FORMATS.map((format) => h("option", { key: format, value: format, selected: format === state.format }, words(format.toLowerCase()))),
        ),
      ),
    ),
    editor({ key: `new-${state.format}`, name: state.name, format: state.format, start: FIRST[state.format], references: [] }, screen),
  );
}

function detail({ subject, versions }, screen) {
  const { state, set, params } = screen;
  const latest = [...versions].reverse().find((one) => one.state === "active") ?? versions.at(-1);
  const shown = versions.find((one) => one.version === state.version && params.name === one.name) ?? latest;
  return panel(
    { id: "subject", title: subject.name, note: badge(subject.state === "active" ? "good" : "skipped", words(subject.state)), class: "reader" },
    h("p", { class: "only-phone" }, h("a", { href: "#/schemas" }, "Back to the list")),
    terms(
      [
        ["Format", words(subject.format.toLowerCase())],
        ["Compatibility", words(subject.compatibility.toLowerCase()), MODES[subject.compatibility]],
        ["Changed", ago(subject.changed_at, Date.now()), dateTime(subject.changed_at)],
      ],
      "grid letter-facts",
    ),
    versionList(versions, shown, screen),
    h("h3", { key: "text" }, latest.version === shown.version ? "Text of the latest version" : `Text of version ${shown.version}`),
    editor({ key: `${subject.name}-${shown.version}`, name: subject.name, format: shown.format, start: pretty(shown.schema), references: shown.references }, screen),
    may("schemas:write") && subject.state === "active" && taking(subject.name, null, `Take ${subject.name} out of use`, screen),
  );
}

const versionList = (versions, shown, screen) =>
  h(
    "ol",
    { class: "versions", "aria-label": "Versions", key: "versions" },
    [...versions].reverse().map((one) =>
      h(
        "li",
        { key: one.version },
        h(
          "button",
          {
            type: "button",
            class: "version",
            "aria-pressed": String(one.version === shown.version),
            on: { click: () => screen.set({ version: one.version, text: null, verdict: null, problem: null }) },
          },
          h("b", {}, `Version ${one.version}`),
          h("span", { class: "fine", title: dateTime(one.created_at) }, ` ${ago(one.created_at, Date.now())} by ${author(one.created_by)}`),
        ),
        one.state === "active"
          ? may("schemas:write") && taking(one.name, one.version, `Take version ${one.version} out of use`, screen)
          : badge("skipped", "Out of use"),
      ),
    ),
  );

const author = (name) => (name.startsWith("key:") ? "a key" : "a person");

/** Takes something out of use once it has been said twice. */
const taking = (name, version, label, screen) =>
  twice(screen, {
    id: `${name} ${version ?? "all"}`,
    label,
    text: version ? "Take out of use" : "Take all out of use",
    step: async () => {
      screen.set({ problemIn: "editor" });
      await remove(version ? `${at(name)}/versions/${version}` : at(name));
      screen.set({ version: null, text: null });
      announce("Out of use; it stays readable by its id.");
    },
  });

function editor({ key, name, format, start, references }, screen) {
  const { state, set } = screen;
  const text = state.text ?? start;
  const body = () => ({ format, schema: state.text ?? start, references });
  const isChecked = state.verdict?.text === text && state.verdict.name === name;
  const doing = (step) => () => {
    set({ problemIn: "editor" });
    return act(screen, step);
  };
  const check = doing(async () => {
    const asked = body();
    const verdict = await send(`${at(name)}/check`, asked);
    set({ verdict: { ...verdict, text: asked.schema, name } });
    announce(verdict.compatible ? "It can be saved." : "It does not fit.");
  });
  const save = doing(async () => {
    const saved = await send("/schemas", { name, ...body() });
    set({ verdict: null, text: null, version: null, name: "" });
    announce(`Saved as version ${saved.version}.`);
    location.hash = `#/schemas/${encodeURIComponent(name)}`;
  });
  return h(
    "div",
    { key: `editor-${key}` },
    h(
      "label",
      { class: "letter-edit" },
      h("span", { class: "unseen" }, "Text of the schema"),
      h(
        "textarea",
        { key: `text-${key}`, rows: Math.min(26, Math.max(10, start.split("\n").length + 2)), spellcheck: "false", on: { input: (event) => set({ text: event.target.value, verdict: null, problem: null }) } },
        start,
      ),
    ),
    h(
      "div",
      { class: "letter-buttons" },
      h("button", { type: "button", class: "button", disabled: state.busy || !name, on: { click: check } }, "Check"),
      may("schemas:write") &&
        h(
          "button",
          { type: "button", class: "button primary", title: isChecked ? null : "Check it first", disabled: state.busy || !isChecked || !state.verdict.compatible, on: { click: save } },
          "Save as a new version",
        ),
    ),
    state.problem && state.problemIn === "editor" && trouble(state.problem),
    isChecked && verdictView(state.verdict),
  );
}

const verdictView = ({ compatible, compatibility, problems }) =>
  h(
    "section",
    { class: "letter-trial", "aria-label": "Result of the check" },
    h(
      "p",
      { role: "status" },
      compatible ? badge("good", "It can be saved") : badge("bad", `${plural(problems.length, "reason")} against it`),
      h("span", { class: "fine" }, ` ${MODES[compatibility]}`),
    ),
    problems.length > 0 && complaints(problems),
  );
