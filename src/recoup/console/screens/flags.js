// The store's feature flags: what they serve to whom, changing them, trying them on a person, and which could go.

import { read, remove, replace, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, count, dateTime, words } from "../format.js";
import { badge, empty, from, heading, panel, storeTabs, terms, trouble } from "../parts.js";
import { may } from "../session.js";
import { servedWords, staleWords, whyWords } from "../settings_readings.js";

const FIRST = { description: "", enabled: false };
const PERSON = '{\n  "targeting_key": "visitor-1",\n  "attributes": {}\n}';
const at = (key) => `/feature-flags/${encodeURIComponent(key)}`;
const mayChange = () => may("flags:write");
// Flags that are being deleted: who asked for one of these now would be told that there is none.
const leaving = new Set();
const unlessLeaving = (key, ask) => (leaving.has(key) ? Promise.resolve(null) : ask());
const pretty = (value) => JSON.stringify(value, null, 2);

export const flags = {
  title: "Flags",
  state: { name: "", text: null, person: PERSON, answer: null, problem: null, busy: false, asked: false, restoring: null },

  sources: ({ params }) => ({
    list: { read: (signal) => read("/feature-flags", { limit: 200 }, signal), every: 10_000 },
    known: { read: (signal) => read("/feature-flags/known", {}, signal) },
    ...(params.key
      ? {
          flag: { read: (signal) => unlessLeaving(params.key, () => read(at(params.key), {}, signal)), every: 10_000 },
          history: { read: (signal) => unlessLeaving(params.key, () => read(`${at(params.key)}/history`, { limit: 20 }, signal)), every: 10_000 },
        }
      : {}),
  }),

  view(screen) {
    const { feeds, params, refresh } = screen;
    return [
      storeTabs("flags"),
      heading("Flags", params.key && h("a", { class: "button small", href: "#/flags" }, "New flag")),
      h(
        "div",
        { class: `schemas ${params.key ? "reading" : ""}`, key: "flags" },
        panel({ id: "all", title: "All flags" }, from(feeds.list, ({ items }) => list(items, params.key), { lines: 6, retry: refresh })),
        params.key ? from(feeds.flag ?? { data: null }, (flag) => detail(flag, screen), { lines: 8, retry: refresh }) : fresh(screen),
      ),
    ];
  },
};

const list = (items, chosen) =>
  items.length === 0
    ? empty("No flag yet", "A flag switches something on for everybody, for a share of people, or for those a rule fits.")
    : h(
        "nav",
        { class: "mails", "aria-label": "Flags" },
        h(
          "ul",
          {},
          items.map(({ key, definition, stale }) =>
            h(
              "li",
              { key },
              h(
                "a",
                { href: `#/flags/${encodeURIComponent(key)}`, "aria-current": key === chosen ? "true" : null },
                h("span", { class: "mail-top" }, h("b", {}, key), badge(definition.enabled ? "good" : "skipped", definition.enabled ? "On" : "Off")),
                h("span", { class: "mail-subject" }, servedWords(definition)),
                stale.length > 0 && h("span", { class: "fine" }, `Stale: ${staleWords(stale)}`),
              ),
            ),
          ),
        ),
      );

function fresh(screen) {
  const { feeds, state, set } = screen;
  const known = feeds.known.data?.items ?? [];
  const make = () =>
    act(screen, async () => {
      await replace(at(state.name), JSON.parse(state.text ?? pretty(FIRST)), 0);
      const made = state.name;
      leaving.delete(made);
      set({ name: "", text: null });
      announce("Saved.");
      location.hash = `#/flags/${encodeURIComponent(made)}`;
    });
  return panel(
    { id: "new", title: "New flag" },
    h("label", { class: "field wide" }, h("span", {}, "Key"), h("input", { value: state.name, placeholder: "new-banner", list: "known-flags", spellcheck: "false", on: { input: (event) => set({ name: event.target.value.trim(), problem: null }) } })),
    h("datalist", { id: "known-flags" }, known.map(({ key }) => h("option", { key, value: key }))),
    editor("new", pretty(FIRST), screen),
    state.problem && trouble(state.problem),
    mayChange() && h("div", { class: "letter-buttons" }, h("button", { type: "button", class: "button primary", disabled: state.busy || !state.name, on: { click: make } }, "Make the flag")),
    known.length > 0 && h("h3", {}, "Flags that Recoup itself asks for"),
    terms(known.map(({ key, description, default: usual }) => [key, description, `Without such a flag: ${usual ? "yes" : "no"}`]), "prose"),
  );
}

const editor = (key, start, { state, set }) =>
  h(
    "label",
    { class: "letter-edit", key: `edit-${key}` },
    h("span", { class: "unseen" }, "Definition"),
    h("textarea", { key: `text-${key}`, rows: Math.min(24, start.split("\n").length + 2), spellcheck: "false", on: { input: (event) => set({ text: event.target.value, problem: null }) } }, state.text ?? start),
  );

function detail(flag, screen) {
  const { key, version, definition } = flag;
  const { state, set } = screen;
  const put = (body, said) =>
    act(screen, async () => {
      await replace(at(key), body, version);
      set({ text: null });
      announce(said);
    });
  const turn = () => put({ ...definition, enabled: !definition.enabled }, definition.enabled ? "The flag is off." : "The flag is on.");
  const save = () => put(JSON.parse(state.text), "Saved.");
  return panel(
    { id: "flag", title: key, note: badge(definition.enabled ? "good" : "skipped", definition.enabled ? "On" : "Off"), class: "reader" },
    h("p", { class: "only-phone" }, h("a", { href: "#/flags" }, "Back to the list")),
    definition.description && h("p", {}, definition.description),
    terms(
      [
        ["Serves", servedWords(definition)],
        ["Changed", ago(flag.changed_at, Date.now()), dateTime(flag.changed_at)],
        ["Asked for", count(flag.evaluations), flag.evaluated_at ? `last ${ago(flag.evaluated_at, Date.now())}` : "never so far"],
        ...(flag.stale.length > 0 ? [["Stale", staleWords(flag.stale)]] : []),
      ],
      "grid letter-facts",
    ),
    state.problem && trouble(state.problem),
    mayChange() &&
      h(
        "div",
        { class: "letter-buttons", key: "buttons" },
        h("button", { type: "button", class: "button primary", disabled: state.busy, on: { click: turn } }, definition.enabled ? "Turn off" : "Turn on"),
        h("button", { type: "button", class: "button", disabled: state.busy || state.text === null, on: { click: save } }, "Save the definition"),
        taking(flag, screen),
      ),
    h("h3", { key: "definition" }, "Definition"),
    editor(`${key}-${version}`, pretty(definition), screen),
    trial(key, screen),
    from(screen.feeds.history ?? { data: null }, ({ items }) => versions(items, flag, screen)),
  );
}

function taking({ key, version }, screen) {
  const { state, set } = screen;
  const take = () =>
    act(screen, async () => {
      leaving.add(key);
      await remove(at(key), version).catch((problem) => {
        leaving.delete(key);
        throw problem;
      });
      set({ asked: false });
      announce("Deleted; its history stays.");
      location.hash = "#/flags";
    });
  return h("button", { type: "button", class: "button", disabled: state.busy, on: { click: state.asked ? take : () => set({ asked: true }) } }, state.asked ? "Really? Click again" : "Delete");
}

function trial(key, screen) {
  const { state, set } = screen;
  const ask = () => act(screen, async () => set({ answer: await send(`${at(key)}/evaluate`, JSON.parse(state.person)) }));
  return h(
    "section",
    { class: "letter-trial", key: "trial", "aria-label": "Try it on a person" },
    h("h3", {}, "Try it on a person"),
    h("label", { class: "letter-edit" }, h("span", { class: "unseen" }, "Person"), h("textarea", { key: "person", rows: 5, spellcheck: "false", on: { input: (event) => set({ person: event.target.value, answer: null }) } }, state.person)),
    h("div", { class: "letter-buttons" }, h("button", { type: "button", class: "button", disabled: state.busy, on: { click: ask } }, "Try")),
    state.answer && h("p", { role: "status" }, badge("good", state.answer.variant), " ", h("code", {}, JSON.stringify(state.answer.value)), h("span", { class: "fine" }, ` because ${whyWords(state.answer)}`)),
  );
}

const versions = (items, flag, screen) =>
  h(
    "section",
    { key: "versions", "aria-label": "History" },
    h("h3", {}, "History"),
    h(
      "ol",
      { class: "versions", "aria-label": "Versions" },
      items.map((one) =>
        h(
          "li",
          { key: one.version },
          h("div", {}, h("b", {}, `Version ${one.version}`), h("span", { class: "fine", title: dateTime(one.at) }, ` ${ago(one.at, Date.now())} by ${one.by.startsWith("key:") ? "a key" : "a person"}`), h("p", { class: "fine" }, one.definition ? one.changed.map(words).join(", ") : "Deleted")),
          one.definition && one.version !== flag.version && mayChange() && restoring(one.version, flag, screen),
        ),
      ),
    ),
  );

function restoring(version, flag, screen) {
  const { state, set } = screen;
  const asked = `${flag.key} ${version}`;
  const sure = state.restoring === asked;
  const restore = () =>
    act(screen, async () => {
      await send(`${at(flag.key)}/restore`, { version }, {}, flag.version);
      set({ text: null, restoring: null });
      announce(`Version ${version} is in force again.`);
    });
  return h("button", { type: "button", class: "button small", "aria-label": `Restore version ${version}`, disabled: state.busy, on: { click: sure ? restore : () => set({ restoring: asked }) } }, sure ? "Really? Click again" : "Restore");
}

async function act({ set, refresh }, step) {
  set({ busy: true, problem: null });
  try {
    await step();
  } catch (problem) {
    set({ problem: problem instanceof SyntaxError ? { message: `This is no JSON: ${problem.message}`, fields: [] } : problem, answer: null });
  } finally {
    set({ busy: false });
    refresh();
  }
}
