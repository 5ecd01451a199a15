// Parts every screen uses: panels, badges, empty states, problems, skeletons, lists of terms.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { shortTime, words } from "./format.js";

export const STAGES = {
  open: { name: "Open", says: "Being filled or looked at right now." },
  abandoned: { name: "Abandoned", says: "Left with items in it; nobody has been contacted." },
  contacted: { name: "Contacted", says: "A message is on its way or has arrived." },
  recovered: { name: "Recovered", says: "Abandoned, and bought after all." },
  converted: { name: "Converted", says: "Bought without ever being abandoned." },
  expired: { name: "Expired", says: "Too long ago to be recovered." },
};

/** A titled section. `note` stands at the right of its heading. */
export function panel({ title, note, id, class: name = "" }, ...content) {
  const heading = `${id}-title`;
  return h(
    "section",
    { class: `panel ${name}`, key: id, "aria-labelledby": heading },
    h(
      "header",
      { class: "panel-head" },
      h("h2", { id: heading }, title),
      note && h("div", { class: "panel-note" }, note),
    ),
    ...content,
  );
}

export const heading = (title, ...beside) =>
  h(
    "header",
    { class: "page-head", key: "head" },
    h("h1", { tabindex: -1 }, title),
    h("div", { class: "page-tools" }, ...beside),
  );

/** Brings the tab one is on into sight, once, as soon as there are tabs to be seen. */
function showCurrent(tabs) {
  if (tabs.dataset.shown || !tabs.offsetWidth) return;
  tabs.dataset.shown = "yes";
  const current = tabs.querySelector("[aria-current]");
  tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - 16;
}

export const EVENT_SCREENS = [
  { path: "readiness", name: "Readiness" },
  { path: "live", name: "Live events" },
  { path: "pipeline", name: "Pipeline" },
  { path: "letters", name: "Dead letters" },
  { path: "schemas", name: "Schemas" },
  { path: "routing", name: "Routing" },
];

export const STORE_SCREENS = [
  { path: "settings", name: "Settings" },
  { path: "flags", name: "Flags" },
  { path: "team", name: "Team" },
  { path: "keys", name: "API keys" },
  { path: "audit", name: "Audit log" },
];

/** The way between the screens of a group where the frame has no room for all of them. */
const tabs = (label, screens, current) =>
  h(
    "nav",
    { class: "tabs", key: "tabs", "aria-label": label, mount: showCurrent },
    screens.map(({ path, name }) =>
      h("a", { key: path, href: `#/${path}`, "aria-current": path === current ? "page" : null }, name),
    ),
  );

export const eventTabs = (current) => tabs("About events", EVENT_SCREENS, current);

export const storeTabs = (current) => tabs("About the store", STORE_SCREENS, current);

/** A word with a colour and a shape, so that the colour is never the only sign. */
export const badge = (tone, text) =>
  h("span", { class: `badge ${tone}` }, h("span", { class: "badge-dot", "aria-hidden": "true" }), text);

/** What to do when there is nothing to see. */
export const empty = (title, advice, ...actions) =>
  h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, title),
    h("p", { class: "empty-advice" }, advice),
    ...actions,
  );

/** A problem in the API's own words; one inside Recoup with a sentence before them that says what that means. */
export function trouble(problem, retry) {
  const inside = problem.status >= 500;
  return h(
    "div",
    { class: "trouble", role: "alert" },
    icon("alert"),
    h(
      "div",
      {},
      h("p", {}, inside ? "This part of Recoup can't answer right now; it is asked again by itself." : problem.message),
      inside && h("p", { class: "fine" }, problem.message),
      problem.fields?.length > 0 && complaints(problem.fields),
      problem.trace && h("p", { class: "fine" }, "Trace ", h("code", {}, problem.trace)),
    ),
    retry && h("button", { type: "button", class: "button small", on: { click: retry } }, "Try again"),
  );
}

/** What is wrong, each with its place. */
export const complaints = (problems) =>
  h(
    "ul",
    { class: "problems" },
    problems.map(({ field, detail, code }, index) =>
      h("li", { key: index }, field && h("code", {}, field), field && " ", detail, h("span", { class: "fine block" }, words(code))),
    ),
  );

export const skeleton = (lines = 3) =>
  h(
    "div",
    { class: "skeleton", "aria-hidden": "true" },
    Array.from({ length: lines }, () => h("span", {})),
  );

/** Content of one feed: its view, or a skeleton, or its problem; old data stays under a notice when a reading fails. */
export function from(feed, view, { lines = 3, retry } = {}) {
  if (feed.data === null) return feed.problem ? trouble(feed.problem, retry) : skeleton(lines);
  if (!feed.problem) return view(feed.data);
  const notice = `${feed.problem.message} Shown is what was known at ${shortTime(feed.at)}.`;
  return [h("p", { class: "stale", role: "status" }, icon("alert", 16), notice), view(feed.data)].flat();
}

/** A sentence in which `words` between backticks are code. */
export const prose = (text) => String(text).split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

/** Terms and their values, as a description list. Each entry is [term, value, note?]. */
export const terms = (entries, name = "") =>
  h(
    "dl",
    { class: `terms ${name}` },
    entries.map(([term, value, note]) =>
      h("div", { key: term }, h("dt", {}, term), h("dd", {}, value, note && h("span", { class: "fine" }, note))),
    ),
  );

/** What to do, in order. */
export const steps = (sentences) =>
  h(
    "ol",
    { class: "steps spaced", "aria-label": "What to do" },
    sentences.map((sentence) => h("li", { key: sentence }, sentence)),
  );

/** A choice of a few: looks like one control, is a group of buttons. */
export const choice = (label, options, chosen, choose) =>
  h(
    "div",
    { class: "choice", role: "group", "aria-label": label },
    options.map(([value, name]) =>
      h(
        "button",
        { type: "button", key: value, "aria-pressed": String(value === chosen), on: { click: () => choose(value) } },
        name,
      ),
    ),
  );

const cellClass = ({ number, tight }) => (number ? "number" : tight ? "tight" : null);

/** A table with a caption for readers; scrolls by itself where the page is too narrow. `rows` are lists of cells. */
export const table = (caption, columns, rows) =>
  h(
    "div",
    { class: "table", role: "region", "aria-label": caption, tabindex: 0 },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => h("th", { scope: "col", class: cellClass(column) }, column.name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(({ key, cells }) =>
          h(
            "tr",
            { key },
            cells.map((cell, index) => h("td", { class: cellClass(columns[index]) }, cell)),
          ),
        ),
      ),
    ),
  );
