// Records a reader could not work on: what they are, why, and putting them back for that reader.

import { act, twice } from "../acts.js";
import { announce } from "../announce.js";
import { read, remove, send } from "../api.js";
import { h } from "../dom.js";
import { ago, bytes, count, dateTime, plural, words } from "../format.js";
import { choice, empty, from, panel, steps, table, terms, trouble } from "../parts.js";
import { may } from "../session.js";

const AT_ONCE = 100;
const WHICH = [
  ["open", "Open"],
  ["put_back", "Put back"],
  ["dismissed", "Dismissed"],
];
const NONE = {
  open: ["Nothing is set aside", "Every record that came could be worked on, or has been dealt with."],
  put_back: ["Nothing was put back", "Records that were put back are named here for some weeks."],
  dismissed: ["Nothing was dismissed", "Records that were dismissed can be put back from here for some weeks."],
};
const TO_DO = [
  "Find the cause: the error named below, and the reader's log at that time. After an upgrade, make sure that every process was started anew: a reader that is older than a writer sets aside what it does not know.",
  "Put the record back once the cause is mended. Only the reader named below takes it, as the others have dealt with it, and nothing takes effect twice.",
  "Dismiss what can never be read. It is kept for some weeks and can still be put back.",
];
const at = (id) => `/pipeline/parked/${encodeURIComponent(id)}`;
const mayAct = () => may("dlq:write");

export const parkedState = { parked: "open", look: null, problem: null, busy: false, asked: null };

export const parkedSources = ({ state: { parked, look } }) => ({
  parked: { read: (signal) => read("/pipeline/parked", { status: parked, limit: AT_ONCE }, signal), every: 5000 },
  ...(look ? { record: { read: (signal) => read(at(look), {}, signal) } } : {}),
});

/** Whether there is more to show than that there is nothing. */
export const isParked = ({ feeds: { parked }, state }) => parked.data?.open > 0 || state.parked !== "open";

export function parkedPanel(screen) {
  const { feeds, state, set, refresh } = screen;
  const which = choice("Which records", WHICH, state.parked, (parked) => set({ parked, look: null, problem: null, asked: null }, { reload: true }));
  return panel(
    { id: "parked", title: "Set aside", class: isParked(screen) ? "whole parked" : "", note: which },
    from(feeds.parked, (found) => content(found, screen), { lines: 3, retry: refresh }),
  );
}

function content({ items, open, elsewhere, next_cursor: more }, screen) {
  const { state } = screen;
  return [
    state.parked === "open" && open > 0 && [
      h("p", { class: "check-says" }, `${plural(open, "record")} could not be worked on by a reader, however often it tried. The events around them went on.`),
      steps(TO_DO),
    ],
    state.problem && trouble(state.problem),
    items.length === 0 ? empty(...NONE[state.parked]) : list(items, screen),
    more && h("p", { class: "fine" }, `The newest ${count(items.length)} are shown.`),
    elsewhere > 0 && h("p", { class: "fine" }, `${plural(elsewhere, "more record")} of other stores only ${elsewhere === 1 ? "is" : "are"} set aside.`),
    state.look && record(screen),
  ].flat();
}

const list = (items, screen) => [
  table(
    "Set aside",
    [{ name: "Reader" }, { name: "Record" }, { name: "Error" }, { name: "Actions" }],
    items.map((one) => ({ key: one.id, cells: [...facts(one), buttons(one, screen)] })),
  ),
  mayAct() && screen.state.parked !== "put_back" && items.length > 1 && h("div", { class: "letter-buttons" }, all(items, screen)),
];

const place = ({ topic, partition, offset }) => `${topic} ${partition}:${offset}`;

const facts = (one) => [
  h("span", {}, words(one.group), h("span", { class: "fine block", title: dateTime(one.settled_at ?? one.parked_at) }, ago(one.settled_at ?? one.parked_at, Date.now()))),
  h("span", {}, h("code", {}, one.topic), h("span", { class: "fine block" }, `${one.partition}:${one.offset}, ${bytes(one.size)}`)),
  h("span", {}, h("code", {}, one.error), one.was_put_back && h("span", { class: "fine block" }, "again, after it was put back")),
];

function buttons(one, screen) {
  const { state, set } = screen;
  const isLookedAt = state.look === one.id;
  const look = () => set({ look: isLookedAt ? null : one.id }, { reload: true });
  return h(
    "div",
    { class: "row-buttons" },
    h("button", { type: "button", class: "button small", "aria-expanded": String(isLookedAt), "aria-label": `Look at ${place(one)}`, on: { click: look } }, isLookedAt ? "Close" : "Look"),
    mayAct() && state.parked !== "put_back" && h("button", { type: "button", class: "button small", disabled: state.busy, "aria-label": `Put ${place(one)} back`, on: { click: () => putBack(one, screen) } }, "Put back"),
    mayAct() && state.parked === "open" && h("button", { type: "button", class: "button small", disabled: state.busy, "aria-label": `Dismiss ${place(one)}`, on: { click: () => dismiss(one, screen) } }, "Dismiss"),
  );
}

const putBack = (one, screen) =>
  act(screen, async () => {
    await send(`${at(one.id)}/put-back`);
    screen.set({ look: null }, { reload: true });
    announce(`Put back for ${words(one.group)}. If it fails again, it is set aside again.`);
  });

const dismiss = (one, screen) =>
  act(screen, async () => {
    await remove(at(one.id));
    screen.set({ look: null }, { reload: true });
    announce("Dismissed.");
  });

const all = (items, screen) =>
  twice(screen, {
    id: "all",
    label: `Put ${plural(items.length, "record")} back`,
    text: `Put ${count(items.length)} back`,
    step: async () => {
      const outcomes = await send("/pipeline/parked/put-back", { ids: items.map(({ id }) => id) });
      const done = outcomes.filter(({ status }) => status === "put_back").length;
      announce(`${plural(done, "record")} put back. What fails again is set aside again.`);
    },
  });

/** One record: the error's words and the store's rows, as far as anybody may see them. */
function record({ feeds, refresh }) {
  return h(
    "section",
    { class: "sample", key: "record", "aria-label": "The record" },
    from(feeds.record ?? { data: null }, (one) => [
      terms([
        ["Why", one.reason ?? one.error, one.reason ? null : "Rows of other stores are in it, so the error's own words are not shown."],
        ["Rows of this store", count(one.own_rows), one.other_rows > 0 && `and ${count(one.other_rows)} of others, which are not shown`],
        one.settled_by && ["Settled", ago(one.settled_at, Date.now()), `by ${one.settled_by}`],
      ].filter(Boolean), "inline"),
      one.rows.length > 0
        ? h("pre", { class: "mail-text", role: "group", "aria-label": "Rows" }, one.rows.map((row) => JSON.stringify(row, null, 1)).join("\n"))
        : h("p", { class: "fine" }, "Nothing in it can be read, or nothing is this store's. The bytes stay where they are, since nobody can tell whose they are."),
      one.own_rows > one.rows.length && h("p", { class: "fine" }, `The first ${count(one.rows.length)} rows are shown.`),
    ], { lines: 4, retry: refresh }),
  );
}
