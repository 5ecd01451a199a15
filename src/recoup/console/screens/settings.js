// The store's settings: what each means, changing them, who changed what, and how it was before.

import { read, replace, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, dateTime, plural, words } from "../format.js";
import { empty, from, heading, panel, prose, skeleton, storeTabs, trouble } from "../parts.js";
import { may } from "../session.js";
import { asText, edited, shown, whole } from "../settings_readings.js";

const mayChange = () => may("settings:write");

async function current(signal) {
  const { items } = await read("/config/history", { limit: 30 }, signal);
  const { settings } = await read(`/config/history/${items[0].version}`, {}, signal);
  return { version: items[0].version, settings, items };
}

export const settings = {
  title: "Settings",
  state: { draft: {}, round: 0, problem: null, busy: false, asked: null },

  sources: () => ({
    definitions: { read: (signal) => read("/config/definitions", {}, signal) },
    current: { read: current, every: 15_000 },
    ...(may("team:read") ? { people: { read: (signal) => read("/users", { limit: 1000 }, signal) } } : {}),
  }),

  view(screen) {
    const { feeds, refresh } = screen;
    const ready = feeds.current.data && feeds.definitions.data;
    return [
      storeTabs("settings"),
      heading("Settings"),
      h(
        "div",
        { class: "settings", key: "settings" },
        ready ? form(screen) : panel({ id: "form", title: "Values" }, from(feeds.definitions.problem ? feeds.definitions : feeds.current, () => skeleton(12), { lines: 12, retry: refresh })),
        panel({ id: "history", title: "History" }, from(feeds.current, (data) => history(data, screen), { lines: 6, retry: refresh })),
      ),
    ];
  },
};

function form(screen) {
  const { feeds, state, set } = screen;
  const { items: definitions } = feeds.definitions.data;
  const { version, settings: written } = feeds.current.data;
  const now = whole(definitions, written);
  const changed = Object.keys(state.draft).length;
  const save = () =>
    act(screen, async () => {
      await replace("/config", edited(definitions, now, state.draft), version);
      set({ draft: {}, round: state.round + 1 });
      announce("Saved; every service goes by it now.");
    });
  return panel(
    { id: "form", title: "Values", note: h("span", { class: "fine" }, `Version ${version}`) },
    state.problem && trouble(state.problem),
    h("div", { class: "setting-list", key: `version-${version}-${state.round}` }, definitions.map((one) => row(one, now[one.name], screen))),
    mayChange() &&
      h(
        "div",
        { class: "letter-buttons" },
        h("button", { type: "button", class: "button primary", disabled: state.busy || changed === 0, on: { click: save } }, changed ? `Save ${plural(changed, "change")}` : "Save"),
        changed > 0 && h("button", { type: "button", class: "button", disabled: state.busy, on: { click: () => set({ draft: {}, round: state.round + 1, problem: null }) } }, "Leave as it was"),
      ),
  );
}

function row(definition, value, { state, set }) {
  const { name, description, unit, default: usual } = definition;
  const note = `note-${name}`;
  return h(
    "div",
    { class: "setting", key: name },
    h("label", { for: `setting-${name}` }, words(name)),
    control(definition, value, note, (typed) => set({ draft: { ...state.draft, [name]: typed }, problem: null }), state.draft[name]),
    h("p", { class: "fine", id: note }, prose(description), h("span", { class: "block" }, [unit && `Unit: ${unit}.`, `Default: ${shown(usual)}.`].filter(Boolean).join(" "))),
  );
}

function control({ name, accepts }, value, note, change, typed) {
  const common = { id: `setting-${name}`, "aria-describedby": note, disabled: !mayChange() };
  if (accepts.type === "boolean") {
    return h("input", { ...common, type: "checkbox", checked: typed ?? value, on: { change: (event) => change(event.target.checked) } });
  }
  const now = typed ?? asText(value);
  if (accepts.enum) {
    return h("select", { ...common, on: { change: (event) => change(event.target.value) } }, accepts.enum.map((one) => h("option", { key: one, value: one, selected: one === now }, words(one))));
  }
  const isNumber = accepts.type === "integer" || accepts.type === "number";
  return h("input", { ...common, value: now, inputmode: isNumber ? "decimal" : null, spellcheck: "false", on: { input: (event) => change(event.target.value) } });
}

const history = ({ items, version: newest }, screen) =>
  items.length === 1 && items[0].changes.length === 0
    ? empty("Nothing was changed yet", "Every change is kept here with who made it, and can be taken back.")
    : h(
        "ol",
        { class: "versions", "aria-label": "Versions" },
        items.map((one) =>
          h(
            "li",
            { key: one.version },
            h(
              "div",
              {},
              h("b", {}, `Version ${one.version}`),
              h("span", { class: "fine", title: dateTime(one.at) }, ` ${ago(one.at, Date.now())} by ${who(one.by, screen)}`),
              one.changes.map(({ setting, before, after }) => h("p", { class: "fine", key: setting }, `${words(setting)}: ${shown(before)} → ${shown(after)}`)),
            ),
            one.version !== newest && mayChange() && restoring(one.version, newest, screen),
          ),
        ),
      );

const who = (id, { feeds }) =>
  id.startsWith("key:") ? "a key" : (feeds.people?.data?.items.find((one) => one.id === id)?.email ?? "a person");

function restoring(version, newest, screen) {
  const { state, set } = screen;
  const sure = state.asked === version;
  const restore = () =>
    act(screen, async () => {
      await send("/config/restore", { version }, {}, newest);
      set({ draft: {}, asked: null });
      announce(`Version ${version} is in force again.`);
    });
  return h("button", { type: "button", class: "button small", "aria-label": `Restore version ${version}`, disabled: state.busy, on: { click: sure ? restore : () => set({ asked: version }) } }, sure ? "Really? Click again" : "Restore");
}

async function act({ set, refresh }, step) {
  set({ busy: true, problem: null });
  try {
    await step();
  } catch (problem) {
    set({ problem });
  } finally {
    set({ busy: false });
    refresh();
  }
}
