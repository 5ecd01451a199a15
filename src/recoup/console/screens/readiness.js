// Whether the shop sends what is needed: a checklist with the next step of each, and what is wrong with what it sends.

import { read } from "../api.js";
import { h } from "../dom.js";
import { ago, count, dateTime, duration, percent, plural } from "../format.js";
import { badge, empty, eventTabs, from, heading, panel, terms } from "../parts.js";
import { severity, summary, verdict } from "../readiness_readings.js";

export const readiness = {
  title: "Readiness",
  state: {},

  sources: () => ({ readiness: { read: (signal) => read("/events/readiness", {}, signal), every: 10_000 } }),

  spoken: ({ readiness: { data } }) => (data ? summary(data) : ""),

  view({ feeds, refresh }) {
    const { data } = feeds.readiness;
    return [
      eventTabs("readiness"),
      heading("Readiness", data && badge(verdict(data.verdict).tone, summary(data))),
      h(
        "div",
        { class: "readiness", key: "readiness" },
        panel(
          { id: "checks", title: "What the shop sends" },
          from(feeds.readiness, ({ checks, at }) => checklist(checks, at), { lines: 10, retry: refresh }),
        ),
        h(
          "div",
          { class: "readiness-side", key: "side" },
          panel(
            { id: "warnings", title: "What is wrong with it", note: "last 24 hours" },
            from(feeds.readiness, ({ warnings, at }) => warningList(warnings, at), { lines: 4 }),
          ),
          panel({ id: "feed", title: "In figures" }, from(feeds.readiness, figures, { lines: 4 })),
        ),
      ),
    ];
  },
};

const checklist = (checks, now) =>
  h(
    "ol",
    { class: "checks" },
    checks.map((check) => {
      const { tone, word } = verdict(check.verdict);
      return h(
        "li",
        { key: check.id, class: tone },
        h("p", { class: "check-top" }, h("b", {}, check.title), badge(tone, word)),
        h("p", { class: "check-says" }, check.says),
        check.next_step && h("p", { class: "check-next" }, h("b", {}, "Next: "), check.next_step),
        when(check, now),
      );
    }),
  );

function when({ last_seen: last, last_day: day }, now) {
  const parts = [
    last && h("span", { title: dateTime(last) }, `Last ${ago(last, Date.parse(now))}`),
    day !== null && day !== undefined && (last || day > 0) && h("span", {}, `${count(day)} in 24 hours`),
  ].filter(Boolean);
  return parts.length > 0 && h("p", { class: "check-when fine" }, parts);
}

function warningList(warnings, now) {
  if (warnings.length === 0) return empty("Nothing to mend", "Every event of the last day could be used as it came.");
  return h(
    "ul",
    { class: "checks" },
    warnings.map((warned) => {
      const { tone, word } = severity(warned.severity);
      return h(
        "li",
        { key: warned.code, class: tone },
        h("p", { class: "check-top" }, h("b", {}, warned.title), badge(tone, word)),
        h("p", { class: "check-says" }, warned.says),
        h("p", { class: "check-next" }, h("b", {}, "Next: "), warned.next_step),
        h(
          "p",
          { class: "check-when fine" },
          warned.count !== null && h("span", {}, warned.count === 1 ? "Once" : `${count(warned.count)} times`),
          warned.last_seen && h("span", { title: dateTime(warned.last_seen) }, `Last ${ago(warned.last_seen, Date.parse(now))}`),
        ),
      );
    }),
  );
}

const figures = ({ order_delay: delay, reach }) =>
  terms(
    [
      delay
        ? ["Orders arrive within", duration(delay.p50_ms), `half of ${plural(delay.orders, "order")}; 99 % within ${duration(delay.p99_ms)}`]
        : ["Orders arrive within", "–", "no order in 24 hours, or a clock of the shop's own"],
      reach?.carts
        ? ["Can be sent a mail", percent(reach.mailable / reach.carts), `of ${plural(reach.carts, "cart")} left in ${reach.days} days`]
        : ["Can be sent a mail", "–", reach ? "no cart was left lately" : "not known just now"],
      ...(reach?.carts ? [["E-mail address known", percent(reach.with_email / reach.carts)]] : []),
    ],
    "grid",
  );
