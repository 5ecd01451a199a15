// Who did what, when, to what: the trail by whom, what, target and time, whether its chain holds, and all of it as a file.

import { act } from "../acts.js";
import { download, read } from "../api.js";
import { h } from "../dom.js";
import { ago, dateTime, shortId, words } from "../format.js";
import { badge, empty, from, heading, panel, storeTabs, table, trouble } from "../parts.js";

const FILTERS = [
  ["who", "Who", "search", "Id of a person or key"],
  ["action", "Action", "search", "e.g. key_made"],
  ["subject", "Target", "search", "Id or path"],
  ["request_id", "Request", "search", "Request id"],
  ["since", "From", "datetime-local", ""],
  ["until", "Until", "datetime-local", ""],
];
const COLUMNS = ["When", "Who", "What", "Target", "From", "Request"].map((name) => ({ name }));
const NONE = { who: "", action: "", subject: "", request_id: "", since: "", until: "" };
const moment = (local) => (local ? new Date(local).toISOString() : null);

export const audit = {
  title: "Audit log",
  state: { ...NONE, limit: 50, problem: null, busy: false },

  sources: ({ state }) => ({
    lines: { read: (signal) => read("/audit-logs", { ...wanted(state), limit: state.limit }, signal), every: 5_000 },
    chain: { read: (signal) => read("/audit-logs/verification", {}, signal), every: 60_000 },
    people: { read: (signal) => read("/users", { limit: 1000 }, signal) },
    keys: { read: (signal) => read("/api-keys", { limit: 1000 }, signal) },
  }),

  view(screen) {
    const { feeds, state, set, refresh } = screen;
    return [
      storeTabs("audit"),
      heading("Audit log", chain(feeds.chain.data), saving(screen)),
      ...(state.problem ? [trouble(state.problem)] : []),
      h("div", { class: "audit-filters", key: "filters" }, FILTERS.map((each) => filter(each, state, set))),
      panel(
        { id: "lines", title: "Changes", note: "newest first; kept for ever" },
        from(feeds.lines, ({ items, next_cursor: more }) => list(items, more, names(feeds), screen), { lines: 8, retry: refresh }),
      ),
    ];
  },
};

const wanted = ({ who, action, subject, request_id: request, since, until }) => ({
  who: who || null,
  action: action || null,
  subject: subject || null,
  request_id: request || null,
  since: moment(since),
  until: moment(until),
});

const chain = (verdict) =>
  verdict &&
  (verdict.intact
    ? badge("good", `Chain of ${verdict.lines} holds`)
    : badge("bad", `Chain breaks at ${verdict.broken_at}: ${verdict.why}`));

const saving = ({ state, set, refresh }) =>
  h(
    "button",
    {
      type: "button",
      class: "button small",
      on: { click: () => act({ set, refresh }, () => download("/audit-logs/export", wanted(state), "audit.ndjson")) },
    },
    "Export",
  );

const filter = ([name, label, type, placeholder], state, set) =>
  h(
    "label",
    { class: "field-filter", key: name },
    h("span", { class: "fine" }, label),
    h("input", {
      type,
      placeholder,
      value: state[name],
      on: { change: (event) => set({ [name]: event.target.value.trim() }, { reload: true }) },
    }),
  );

function names({ people, keys }) {
  const found = new Map();
  for (const { id, email } of people.data?.items ?? []) found.set(id, email);
  for (const { id, name } of keys.data?.items ?? []) found.set(`key:${id}`, `Key ${name}`);
  return found;
}

function list(items, more, known, { state, set }) {
  if (items.length === 0) return empty("Nothing here", "No change is like that. Take a filter away.");
  return h(
    "div",
    {},
    table("Changes", COLUMNS, items.map((line) => ({ key: line.id, cells: cells(line, known) }))),
    more &&
      h(
        "button",
        {
          type: "button",
          class: "button small",
          disabled: state.limit >= 1000,
          on: { click: () => set({ limit: Math.min(1000, state.limit * 4) }, { reload: true }) },
        },
        state.limit >= 1000 ? "Older ones by filter or export" : "Show more",
      ),
  );
}

const cells = (line, known) => [
  h("time", { datetime: line.at, title: dateTime(line.at) }, ago(line.at, Date.now())),
  h("span", { title: line.actor }, known.get(line.actor) ?? shortId(line.actor)),
  h("span", {}, line.action.includes(" ") ? h("code", {}, line.action) : words(line.action), line.detail.outcome === "unknown" && badge("bad", "Outcome unknown")),
  h("span", { title: line.subject }, known.get(line.subject) ?? known.get(`key:${line.subject}`) ?? shortId(line.subject, 32)),
  line.address,
  h("code", { title: line.request_id }, shortId(line.request_id)),
];
