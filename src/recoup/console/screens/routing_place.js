// One destination of routed events: made, changed, stopped, started again; its secret shown once, its deliveries.

import { act, twice } from "../acts.js";
import { announce } from "../announce.js";
import { change, remove, send } from "../api.js";
import { h } from "../dom.js";
import { ago, count, dateTime, plural } from "../format.js";
import { badge, choice, empty, from, panel, table, terms, trouble } from "../parts.js";
import { counted, deliveryState, health } from "../routing_readings.js";
import { may } from "../session.js";

const KINDS = [["webhook", "Webhook"], ["topic", "Topic"]];
const FORMS = [["batch", "Many events a call"], ["single", "One event a call"]];
const FRESH = { name: "", kind: "webhook", url: "", form: "batch", concurrency: 2, retention_hours: 24 };

export function place(id, places, screen) {
  const { state } = screen;
  if (state.secret && !id) return kept(state.secret);
  const saved = places.find((one) => one.id === id);
  if (id && !saved)
    return panel({ id: "place", title: "No such destination", class: "reader" }, empty("It is not there", "Somebody may have deleted it."));
  return saved ? detail(saved, screen) : fresh(screen);
}

const path = (id) => `/routing/destinations/${id}`;

/** A webhook's secret, which nobody is shown again. */
const kept = (secret) =>
  panel(
    { id: "secret", title: "Its secret, this once", class: "reader" },
    secretView(secret.text),
    h("div", { class: "letter-buttons" }, h("a", { class: "button primary", href: `#/routing/to/${secret.id}` }, "I have kept it")),
  );

const secretView = (text) =>
  h(
    "div",
    { class: "secret", key: "secret" },
    h("p", {}, "Every call is signed with it. Keep it where your receiver finds it: it cannot be shown again, only replaced."),
    h(
      "div",
      { class: "secret-line" },
      h("input", { "aria-label": "Secret", readonly: true, value: text, on: { click: (event) => event.target.select() } }),
      navigator.clipboard && h("button", { type: "button", class: "button", on: { click: () => copy(text) } }, "Copy"),
    ),
  );

const copy = (text) => navigator.clipboard.writeText(text).then(() => announce("Copied."), () => announce("It could not be copied; select it by hand."));

function fresh(screen) {
  const { state, set } = screen;
  if (!may("settings:write"))
    return panel({ id: "place", title: "New destination", class: "reader" }, empty("Owners and admins add destinations", "Ask one of this store."));
  // Asked anew by every handler: what was typed since the last drawing counts.
  const current = () => state.form ?? FRESH;
  const form = current();
  const edit = (changes) => set({ form: { ...current(), ...changes }, problem: null });
  const save = () =>
    act(screen, async () => {
      const { destination, secret } = await send("/routing/destinations", bodyOf(current()));
      announce("Made.");
      if (secret) set({ secret: { id: destination.id, text: secret }, form: null });
      else location.hash = `#/routing/to/${destination.id}`;
    });
  return panel(
    { id: "place", title: "New destination", class: "reader" },
    h("p", { class: "only-phone", key: "back" }, h("a", { href: "#/routing" }, "Back to the list")),
    choice("Kind", KINDS, form.kind, (kind) => edit({ kind })),
    h(
      "label",
      { class: "field wide", key: "name" },
      h("span", {}, "Name"),
      h("input", { value: form.name, maxlength: 50, placeholder: "crm", spellcheck: "false", on: { input: (event) => edit({ name: event.target.value.trim() }) } }),
      h("span", { class: "fine" }, "small letters, digits, - and _"),
    ),
    form.kind === "webhook" ? reached(form, edit) : retention(form, edit),
    h(
      "div",
      { class: "letter-buttons", key: "buttons" },
      h("button", { type: "button", class: "button primary", disabled: state.busy || !form.name || (form.kind === "webhook" && !form.url), on: { click: save } }, "Make it"),
    ),
    state.problem && trouble(state.problem),
  );
}

const bodyOf = ({ name, kind, url, form, concurrency, retention_hours: hours }) =>
  kind === "webhook" ? { name, kind, url, form, concurrency } : { name, kind, retention_hours: hours };

const reached = (form, edit) => [
  h(
    "label",
    { class: "field wide", key: "url" },
    h("span", {}, "URL"),
    h("input", { type: "url", value: form.url, placeholder: "an address that begins with https", spellcheck: "false", on: { input: (event) => edit({ url: event.target.value.trim() }) } }),
  ),
  choice("What a call carries", FORMS, form.form, (value) => edit({ form: value })),
  number("Calls at a time", "concurrency", form.concurrency, 8, (value) => edit({ concurrency: value })),
];

const retention = (form, edit) => number("Kept for hours", "hours", form.retention_hours, 168, (value) => edit({ retention_hours: value }));

const number = (label, key, value, max, put) =>
  h(
    "label",
    { class: "field narrow", key },
    h("span", {}, label),
    h("input", { type: "number", min: 1, max, value, on: { input: (event) => put(event.target.valueAsNumber || 1) } }),
  );

function detail(saved, screen) {
  const { feeds, state } = screen;
  const { tone, word } = health(saved);
  return panel(
    { id: "place", title: saved.name, class: "reader", note: badge(tone, word) },
    h("p", { class: "only-phone", key: "back" }, h("a", { href: "#/routing" }, "Back to the list")),
    next(saved),
    state.secret && secretView(state.secret.text),
    facts(saved, counted(feeds.queues.data?.items ?? [], saved.id)),
    may("settings:write") && changing(saved, screen),
    buttons(saved, screen),
    state.problem && trouble(state.problem),
    saved.kind === "webhook" && deliveries(saved, screen),
  );
}

/** What is wrong with it, and what to do about that. */
function next(saved) {
  const { state, failures, reason, failing_since: since, blocked_until: until, dropped } = saved;
  const notes = [];
  if (state === "paused")
    notes.push([`Stopped: ${reason || "by hand"}.`, "Nothing is called; what rules send here waits. Mend the receiver, then start it again."]);
  else if (failures > 0)
    notes.push([`${plural(failures, "call")} failed in a row, since ${dateTime(since)}: ${reason}.`, `It is tried again by itself${until ? `, next after ${dateTime(until)}` : ""}; after 20 it is stopped.`]);
  if (dropped > 0)
    notes.push([`${plural(dropped, "event")} found no room in the queue.`, "They went nowhere else. Let the receiver take more at a time, or narrow the rules."]);
  return (
    notes.length > 0 &&
    h(
      "ul",
      { class: "checks", key: "next", "aria-label": "What is wrong" },
      notes.map(([what, advice]) =>
        h("li", { key: what, class: state === "paused" ? "bad" : "abandoned" }, h("p", { class: "check-says" }, what), h("p", { class: "check-next" }, h("b", {}, "Next: "), advice)),
      ),
    )
  );
}

const facts = (saved, { waiting, delivered, dead }) =>
  terms(
    saved.kind === "topic"
      ? [
          ["Read at", h("code", {}, `/api/routing/topics/${saved.name}/events`)],
          ["Kept for", `${saved.retention_hours} h`],
          ["Made", dateTime(saved.created_at)],
        ]
      : [
          ["Waiting", count(waiting), "deliveries"],
          ["Received", count(delivered), "within 24 hours"],
          ["Given up", count(dead), "within 14 days"],
          ["Made", dateTime(saved.created_at)],
        ],
    "grid letter-facts",
  );

function changing(saved, screen) {
  const { state, set } = screen;
  const current = () => state.form ?? saved;
  const form = current();
  const edit = (changes) => set({ form: { ...current(), ...changes }, problem: null });
  const save = () =>
    act(screen, async () => {
      const { name: _, kind, ...rest } = bodyOf(current());
      await change(path(saved.id), rest);
      set({ form: null });
      announce("Changed.");
    });
  return h(
    "details",
    { class: "sample", key: "change" },
    h("summary", {}, "Change it"),
    saved.kind === "webhook" ? reached(form, edit) : retention(form, edit),
    h("button", { type: "button", key: "save", class: "button", disabled: state.busy || !state.form, on: { click: save } }, "Save"),
  );
}

function buttons(saved, screen) {
  if (!may("settings:write")) return null;
  const { state, set } = screen;
  const isPaused = saved.state === "paused";
  const toggle = () =>
    act(screen, async () => {
      await send(`${path(saved.id)}/${isPaused ? "resume" : "pause"}`);
      announce(isPaused ? "Started; what waits is sent." : "Stopped; what rules send there waits.");
    });
  const renew = async () => {
    const { secret } = await send(`${path(saved.id)}/secret`);
    set({ secret: { id: saved.id, text: secret } });
    announce("A new secret; for 24 hours the old one signs along.");
  };
  const drop = async () => {
    await remove(path(saved.id));
    announce("Deleted, with all that waited.");
    location.hash = "#/routing";
  };
  return h(
    "div",
    { class: "letter-buttons", key: "buttons" },
    saved.kind === "webhook" &&
      h("button", { type: "button", key: "toggle", class: isPaused ? "button small primary" : "button small", disabled: state.busy, on: { click: toggle } }, isPaused ? "Start again" : "Stop"),
    saved.kind === "webhook" && twice(screen, { id: `secret ${saved.id}`, label: `New secret for ${saved.name}`, text: "New secret", step: renew }),
    twice(screen, { id: saved.id, label: `Delete ${saved.name}`, text: "Delete", step: drop }),
  );
}

function deliveries(saved, screen) {
  const { feeds, state, set, refresh } = screen;
  const options = [["", "All"], ["waiting", "Waiting"], ["dead", "Given up"], ["delivered", "Received"]];
  return h(
    "div",
    { key: "deliveries" },
    h(
      "div",
      { class: "condition-head" },
      h("h3", {}, "Deliveries"),
      choice("Deliveries", options, state.status, (status) => set({ status }, { reload: true })),
    ),
    from(feeds.deliveries ?? { data: null }, ({ items, next_cursor: more }) => deliveryTable(items, more, screen), { lines: 4, retry: refresh }),
  );
}

function deliveryTable(items, more, screen) {
  if (items.length === 0) return empty("None", "Events that a rule copies here are listed with what became of them.");
  const now = Date.now();
  return [
    table(
      "Deliveries",
      [{ name: "Status", tight: true }, { name: "Events", number: true }, { name: "Calls", number: true }, { name: "Queued", tight: true }, { name: "What came of it" }, { name: "", tight: true }],
      items.map((one) => {
        const { tone, word } = deliveryState(one.status);
        return {
          key: one.id,
          cells: [
            badge(tone, word),
            count(one.events),
            count(one.attempts),
            h("span", { title: dateTime(one.made_at) }, ago(one.made_at, now)),
            h("div", { class: "delivery-note" }, one.note || "–", one.status === "waiting" && one.attempts > 0 && h("span", { class: "fine block" }, `again at ${dateTime(one.next_at)}`)),
            one.status !== "waiting" && again(one, screen),
          ],
        };
      }),
    ),
    more && h("p", { class: "fine" }, "Older ones are listed by the API."),
  ];
}

function again(one, screen) {
  if (!may("dlq:write")) return null;
  const click = () =>
    act(screen, async () => {
      await send(`/routing/deliveries/${one.id}/redeliver`);
      announce("It is sent again, under the same id.");
    });
  return h("button", { type: "button", class: "button small", "aria-label": `Send again what was queued at ${dateTime(one.made_at)}`, disabled: screen.state.busy, on: { click } }, "Send again");
}
