// The store's API keys: which there are and when they were used, making one, rotating and revoking it.

import { act, twice } from "../acts.js";
import { read, remove, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, count, dateTime } from "../format.js";
import { badge, empty, from, heading, panel, storeTabs, terms, trouble } from "../parts.js";
import { may } from "../session.js";

const KINDS = {
  secret_key: { name: "Secret", says: "For your servers. Never put it into a page." },
  publishable_key: { name: "Publishable", says: "For pages that shoppers see: it sends events and gets messages." },
};
const LIVES = { "": "Never", 7: "In a week", 30: "In 30 days", 90: "In 90 days", 365: "In a year" };
const OVERLAPS = { 0: "At once", 1: "In an hour", 24: "In a day", 168: "In a week" };
const HOUR = 3_600_000;
const FRESH = { kind: "secret_key", name: "", origins: "", limit: "", days: "", left: [] };
const at = (id) => `/api-keys/${id}`;
const mayChange = () => may("keys:write");
const later = (hours) => new Date(Date.now() + hours * HOUR).toISOString();

export const keys = {
  title: "API keys",
  state: { form: FRESH, overlap: 24, made: null, problem: null, busy: false, asked: null },

  sources: () => ({
    list: { read: (signal) => read("/api-keys", { limit: 200 }, signal), every: 10_000 },
    scopes: { read: (signal) => read("/api-keys/scopes", {}, signal) },
  }),

  view(screen) {
    const { feeds, params, refresh } = screen;
    return [
      storeTabs("keys"),
      heading("API keys", params.id && h("a", { class: "button small", href: "#/keys" }, "New key")),
      h(
        "div",
        { class: `schemas ${params.id ? "reading" : ""}`, key: "keys" },
        panel({ id: "all", title: "All keys" }, from(feeds.list, ({ items }) => list(items, params.id), { lines: 6, retry: refresh })),
        beside(screen),
      ),
    ];
  },
};

const copy = (text) => navigator.clipboard.writeText(text).then(() => announce("Copied."), () => announce("It could not be copied; select it by hand."));

function beside(screen) {
  const { feeds, params, state, refresh } = screen;
  if (state.made) return kept(state.made);
  return params.id ? from(feeds.list, ({ items }) => one(items, screen), { lines: 8, retry: refresh }) : fresh(screen);
}

function standing(key) {
  if (key.revoked_at) return ["skipped", "Revoked"];
  const ends = key.expires_at && new Date(key.expires_at);
  if (ends && ends <= new Date()) return ["skipped", "Expired"];
  return key.replaced_by ? ["warn", "Being replaced"] : ["good", "In force"];
}

const list = (items, chosen) =>
  items.length === 0
    ? empty("No key yet", "Servers and pages show who they are by a key.")
    : h(
        "nav",
        { class: "mails", "aria-label": "API keys" },
        h(
          "ul",
          {},
          items.map((key) =>
            h(
              "li",
              { key: key.id },
              h(
                "a",
                { href: `#/keys/${key.id}`, "aria-current": key.id === chosen ? "true" : null },
                h("span", { class: "mail-top" }, h("b", {}, key.name), badge(...standing(key))),
                h("span", { class: "mail-subject" }, h("code", {}, `${key.prefix}…`)),
                h("span", { class: "fine" }, used(key)),
              ),
            ),
          ),
        ),
      );

const used = (key) => (key.last_used_at ? `last used ${ago(key.last_used_at, Date.now())}` : "never used");

/** The whole key, which nobody is shown again. */
const kept = ({ key, id }) =>
  panel(
    { id: "made", title: "The new key, this once", class: "reader" },
    h(
      "div",
      { class: "secret" },
      h("p", {}, "Keep it where your secrets are: it cannot be shown again, only rotated."),
      h(
        "div",
        { class: "secret-line" },
        h("input", { "aria-label": "Key", readonly: true, value: key, on: { click: (event) => event.target.select() } }),
        navigator.clipboard && h("button", { type: "button", class: "button", on: { click: () => copy(key) } }, "Copy"),
      ),
    ),
    h("div", { class: "letter-buttons" }, h("a", { class: "button primary", href: `#/keys/${id}` }, "I have kept it")),
  );

function fresh(screen) {
  const { feeds, state, set } = screen;
  const { form } = state;
  if (!mayChange()) return panel({ id: "new", title: "New key" }, h("p", {}, "Owners, admins and developers make keys."));
  const edit = (changes) => set({ form: { ...form, ...changes }, problem: null });
  const input = (label, name, more = {}) =>
    h("label", { class: "field wide" }, h("span", {}, label), h("input", { value: form[name], spellcheck: "false", ...more, on: { input: (event) => edit({ [name]: event.target.value }) } }));
  const offered = (feeds.scopes.data?.items ?? []).filter(({ kinds }) => kinds.includes(form.kind));
  return panel(
    { id: "new", title: "New key" },
    input("Name", "name", { placeholder: "web shop" }),
    h("div", { class: "schema-head" }, select("Kind", kindNames, form.kind, (kind) => edit({ kind, left: [], origins: "" })), select("Expires", LIVES, form.days, (days) => edit({ days }))),
    h("p", { class: "fine" }, KINDS[form.kind].says),
    form.kind === "publishable_key" && input("Pages that may use it, one origin beside the other; empty for any", "origins", { placeholder: location.origin }),
    input("Requests a minute; empty for the general limit", "limit", { inputmode: "numeric" }),
    ticks(offered, form, edit),
    state.problem && trouble(state.problem),
    h(
      "div",
      { class: "letter-buttons" },
      h("button", { type: "button", class: "button primary", disabled: state.busy || !form.name.trim() || offered.length === form.left.length, on: { click: () => make(offered, screen) } }, "Make the key"),
    ),
  );
}

const kindNames = Object.fromEntries(Object.entries(KINDS).map(([kind, { name }]) => [kind, name]));

const select = (label, options, chosen, choose) =>
  h(
    "label",
    { class: "field narrow" },
    h("span", {}, label),
    h("select", { on: { change: (event) => choose(event.target.value) } }, Object.entries(options).map(([value, name]) => h("option", { key: value, value, selected: value === String(chosen) }, name))),
  );

/** All are given unless they are taken away. */
const ticks = (offered, form, edit) =>
  h(
    "fieldset",
    { class: "bare", key: `scopes-${form.kind}` },
    h("legend", {}, "What it may do"),
    offered.map(({ scope, meaning }) =>
      h(
        "label",
        { class: "tick", key: scope },
        h("input", {
          type: "checkbox",
          checked: !form.left.includes(scope),
          on: { change: (event) => edit({ left: event.target.checked ? form.left.filter((one) => one !== scope) : [...form.left, scope] }) },
        }),
        h("span", {}, h("code", {}, scope), h("span", { class: "fine" }, ` ${meaning}`)),
      ),
    ),
  );

function make(offered, screen) {
  const { form } = screen.state;
  return act(screen, async () => {
    const { key, api_key: made } = await send("/api-keys", {
      kind: form.kind,
      name: form.name.trim(),
      scopes: offered.map(({ scope }) => scope).filter((scope) => !form.left.includes(scope)),
      allowed_origins: form.origins.split(/[\s,]+/).filter(Boolean),
      ...(form.days ? { expires_at: later(24 * form.days) } : {}),
      ...(form.limit.trim() ? { requests_per_minute: Number(form.limit) } : {}),
    });
    screen.set({ made: { key, id: made.id } });
    announce("The key is made. It is shown this once.");
  });
}

function one(items, screen) {
  const key = items.find(({ id }) => id === screen.params.id);
  if (!key) return panel({ id: "key", title: "No such key" }, h("p", {}, h("a", { href: "#/keys" }, "Back to the list")));
  const { state } = screen;
  const isOver = standing(key)[0] === "skipped";
  const next = items.find(({ id }) => id === key.replaced_by);
  return panel(
    { id: "key", title: key.name, note: badge(...standing(key)), class: "reader" },
    h("p", { class: "only-phone" }, h("a", { href: "#/keys" }, "Back to the list")),
    terms(
      [
        ["Kind", KINDS[key.kind].name, KINDS[key.kind].says],
        ["Begins with", h("code", {}, key.prefix)],
        ["Made", ago(key.created_at, Date.now()), dateTime(key.created_at)],
        ["Last used", key.last_used_at ? ago(key.last_used_at, Date.now()) : "never", key.last_used_at && dateTime(key.last_used_at)],
        ["Expires", key.expires_at ? dateTime(key.expires_at) : "never"],
        ["Requests a minute", key.requests_per_minute ? count(key.requests_per_minute) : "the general limit"],
        ...(key.kind === "publishable_key" ? [["Pages", key.allowed_origins?.join(", ") || "any"]] : []),
      ],
      "grid letter-facts",
    ),
    next && h("p", {}, "Replaced by ", h("a", { href: `#/keys/${next.id}` }, next.name), "."),
    h("p", { class: "fine" }, "May: ", key.scopes.join(", ")),
    state.problem && trouble(state.problem),
    !isOver && mayChange() && changing(key, screen),
  );
}

const changing = (key, screen) =>
  h(
    "div",
    { key: "changing" },
    !key.replaced_by && select("After rotating, the old key ends", OVERLAPS, screen.state.overlap, (overlap) => screen.set({ overlap: Number(overlap) })),
    h(
      "div",
      { class: "letter-buttons" },
      !key.replaced_by &&
        twice(screen, {
          id: `rotate ${key.id}`,
          label: `Rotate ${key.name}`,
          text: "Rotate",
          step: async () => {
            const { overlap } = screen.state;
            const { key: whole, api_key: made } = await send(`${at(key.id)}/rotate`, overlap ? { old_valid_until: later(overlap) } : {});
            screen.set({ made: { key: whole, id: made.id } });
            announce("Here is the next key. It is shown this once.");
          },
        }),
      twice(screen, {
        id: `revoke ${key.id}`,
        label: `Revoke ${key.name}`,
        text: "Revoke",
        step: async () => {
          await remove(at(key.id));
          announce("Revoked.");
        },
      }),
    ),
  );
