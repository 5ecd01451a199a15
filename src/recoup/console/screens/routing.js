// Routing: which events go to the store's own topics and webhooks besides, and how those do.

import { read } from "../api.js";
import { h } from "../dom.js";
import { plural } from "../format.js";
import { badge, empty, eventTabs, from, heading, panel } from "../parts.js";
import { counted, health, says } from "../routing_readings.js";
import { may } from "../session.js";
import { place } from "./routing_place.js";
import { rule } from "./routing_rule.js";

const NEW = "new";
const PAGE = 50;

export const routing = {
  title: "Routing",
  state: { form: null, sample: null, trial: null, secret: null, status: "", problem: null, busy: false, asked: null },

  sources: ({ params, state }) => ({
    rules: { read: (signal) => read("/routing/rules", {}, signal), every: 10_000 },
    places: { read: (signal) => read("/routing/destinations", {}, signal), every: 5000 },
    queues: { read: (signal) => read("/routing/queues", {}, signal), every: 5000 },
    fields: { read: (signal) => read("/routing/fields", {}, signal) },
    ...(params.kind === "to" && params.id !== NEW
      ? { deliveries: { read: (signal) => read("/routing/deliveries", asked(params, state), signal), every: 5000 } }
      : {}),
  }),

  view(screen) {
    const { feeds, params, refresh } = screen;
    const places = feeds.places.data?.items ?? [];
    const shown = (feed, view, lines) => from(feeds[feed], view, { lines, retry: refresh });
    return [
      eventTabs("routing"),
      heading("Routing", ...ways()),
      h(
        "div",
        { class: `routing ${params.id ? "reading" : ""}`, key: "routing" },
        h(
          "div",
          { class: "routing-lists", key: "lists" },
          panel(
            { id: "rules", title: "Rules" },
            shown("rules", ({ items }) => ruleList(items, places, params), 4),
          ),
          panel(
            { id: "places", title: "Destinations" },
            shown("places", ({ items }) => placeList(items, feeds.queues.data?.items ?? [], params), 4),
          ),
        ),
        from(feeds.places, ({ items }) => beside(items, screen), { lines: 8, retry: refresh }),
      ),
    ];
  },
};

const asked = ({ id }, { status }) => ({ destination: id, status: status || null, limit: PAGE });

const ways = () =>
  may("settings:write")
    ? [
        h("a", { key: "rule", class: "button small", href: "#/routing/rule/new" }, "New rule"),
        h("a", { key: "to", class: "button small", href: "#/routing/to/new" }, "New destination"),
      ]
    : [];

/** What stands beside the lists: what the address names, or what there is to do next. */
function beside(places, screen) {
  const { kind, id } = screen.params;
  // A secret stays in sight until it is kept, wherever the destination was made.
  if (screen.state.secret && (!id || id === NEW)) return place(null, places, screen);
  if (kind === "to") return place(id === NEW ? null : id, places, screen);
  if (kind === "rule") return rule(id === NEW ? null : id, places, screen);
  return may("settings:write") && places.length === 0 ? place(null, places, screen) : about();
}

const about = () =>
  panel(
    { id: "about", title: "What this does", class: "reader" },
    h(
      "ol",
      { class: "steps" },
      h("li", {}, h("b", {}, "A destination"), " is a topic that your systems read by API, or a webhook that we call and sign."),
      h("li", {}, h("b", {}, "A rule"), " says which events are copied there, by type, by what they carry, and by who the shopper is."),
      h("li", {}, h("b", {}, "Nothing else changes"), ": carts, messages and figures stay as they are, whatever is copied."),
    ),
  );

const lines = (label, items) => h("nav", { class: "mails", "aria-label": label }, h("ul", {}, items));

function ruleList(rules, places, { kind, id }) {
  if (rules.length === 0)
    return empty("No rule yet", "Events are copied to nobody. A rule needs a destination that it leads to.");
  const names = new Map(places.map((one) => [one.id, one.name]));
  return lines(
    "Rules",
    rules.map((one) =>
      h(
        "li",
        { key: one.id },
        h(
          "a",
          { href: `#/routing/rule/${one.id}`, "aria-current": kind === "rule" && one.id === id ? "true" : null },
          h(
            "span",
            { class: "mail-top" },
            h("b", {}, one.name),
            one.enabled ? h("span", { class: "fine" }, `to ${one.to.map((to) => names.get(to) ?? "?").join(", ")}`) : badge("skipped", "Off"),
          ),
          h("span", { class: "mail-subject", title: says(one.when) }, says(one.when)),
        ),
      ),
    ),
  );
}

function placeList(places, queues, { kind, id }) {
  if (places.length === 0) return empty("No destination yet", "A topic keeps copies for your systems to read; a webhook is called.");
  return lines(
    "Destinations",
    places.map((one) => {
      const { tone, word } = health(one);
      const { waiting, dead } = counted(queues, one.id);
      const queue = [waiting && `${plural(waiting, "delivery", "deliveries")} waiting`, dead && `${dead} given up`].filter(Boolean);
      return h(
        "li",
        { key: one.id },
        h(
          "a",
          { href: `#/routing/to/${one.id}`, "aria-current": kind === "to" && one.id === id ? "true" : null },
          h("span", { class: "mail-top" }, h("b", {}, one.name), badge(tone, word)),
          h("span", { class: "mail-subject" }, one.kind === "topic" ? `topic, kept ${one.retention_hours} h` : one.url),
          queue.length > 0 && h("span", { class: "fine" }, queue.join(", ")),
        ),
      );
    }),
  );
}
