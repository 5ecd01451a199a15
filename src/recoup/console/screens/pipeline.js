// The events' way through the machinery: how fast, how late, what waits, what went wrong.

import { read } from "../api.js";
import { sparkline } from "../charts.js";
import { h } from "../dom.js";
import { ago, count, dateTime, duration, figure, percent, words } from "../format.js";
import { badge, empty, eventTabs, from, heading, panel, steps, table, terms } from "../parts.js";
import { glance, grown, health, lossWords, queues, stages } from "../pipeline_readings.js";
import { isParked, parkedPanel, parkedSources, parkedState } from "./pipeline_parked.js";

const SAYS = {
  read: "Records become columns",
  gather: "Ids, carts and profiles are looked up",
  deduplicate: "What came before is set aside",
  validate: "Each event is held against its type's rules",
  enrich: "What we know besides is added",
  follow_sessions: "Pages and length of each visit",
  link_visitors: "Visitors who said who they are",
  track_carts: "What each event does to its cart",
  mark_risks: "Crawlers, floods and amounts that cannot be right",
  route: "To the enriched topic, or the dead letters",
  commit: "All effects at once, or none",
};

export const pipeline = {
  title: "Pipeline",
  state: { rates: [], seenAt: null, ...parkedState },

  sources: (screen) => ({
    status: { read: (signal) => read("/pipeline/status", {}, signal), every: 2000 },
    ...parkedSources(screen),
  }),

  spoken: ({ status: { data } }) => (data ? health(data).says : ""),

  view(screen) {
    const { feeds, state, refresh } = screen;
    const { data, at } = feeds.status;
    if (data && at !== state.seenAt) Object.assign(state, { rates: grown(state.rates, glance(data).rate), seenAt: at });
    const found = data && health(data);
    const shown = (view, lines) => from(feeds.status, view, { lines, retry: refresh });
    return [
      eventTabs("pipeline"),
      heading("Pipeline", found && badge(found.tone, found.says)),
      h(
        "div",
        { class: "pipeline", key: "pipeline" },
        panel(
          { id: "now", title: "Now", class: "whole", note: h("span", { class: "pulse" }, "every 2 s") },
          shown((status) => now(status, state.rates), 4),
        ),
        data?.loss && lossPanel(data.loss),
        isParked(screen) && parkedPanel(screen),
        panel({ id: "stages", title: "Stages of a batch" }, shown(stageTable, 8)),
        h(
          "div",
          { class: "pipeline-side", key: "side" },
          panel({ id: "queues", title: "What waits" }, shown(queueList, 5)),
          panel({ id: "members", title: "Who works on it" }, shown(members, 4)),
          !isParked(screen) && parkedPanel(screen),
        ),
      ),
    ];
  },
};

function now(status, rates) {
  const { rate, durable, delay, waiting, errors } = glance(status);
  return [
    terms(
      [
        ["Events per second", figure(rate, rate < 10 ? 1 : 0), "over the last ten seconds"],
        ["Durable within", duration(durable.p99), `half within ${duration(durable.p50)}`],
        ["Enriched within", duration(delay.p99), `half within ${duration(delay.p50)}`],
        ["Records waiting", count(waiting), "for all readers together"],
        ["Errors", count(errors), "since the start; tried again by themselves"],
      ],
      "grid",
    ),
    sparkline(rates, `Events per second while this is open; now ${figure(rate)}`),
  ];
}

const stageTable = (status) => {
  const found = stages(status);
  if (found.length === 0) return empty("No batch yet", "Stages show once the first events have come through.");
  return table(
    "Stages",
    [{ name: "Stage" }, { name: "Half within", number: true }, { name: "99 % within", number: true }, { name: "Errors", number: true }],
    found.map(({ name, p50, p99, errors, share }) => ({
      key: name,
      cells: [
        h(
          "div",
          {},
          h("span", { class: "stage-name" }, words(name)),
          h("span", { class: "fine block" }, SAYS[name]),
          h("span", { class: "meter stage-share", title: `${percent(share)} of a batch's time`, "aria-hidden": "true" }, h("span", { style: { width: percent(share, 1) } })),
        ),
        duration(p50),
        duration(p99),
        h("span", { class: errors ? "bad-text" : null }, count(errors)),
      ],
    })),
  );
};

const queueList = (status) =>
  h(
    "ul",
    { class: "queues" },
    queues(status).map(({ topic, held, groups }) =>
      h(
        "li",
        { key: topic },
        h("p", {}, h("code", {}, topic), held !== undefined && h("span", { class: "fine" }, ` ${count(held)} held`)),
        h(
          "p",
          { class: "queue-groups fine" },
          groups.map(({ group, waiting }) =>
            h("span", { key: group, class: waiting > 1000 ? "bad-text" : null }, `${words(group)} `, h("b", {}, count(waiting))),
          ),
        ),
      ),
    ),
  );

const members = ({ collectors, processors }) =>
  table(
    "Processes",
    [{ name: "Process" }, { name: "Per second", number: true }, { name: "99 % within", number: true }, { name: "Errors", number: true }],
    [
      ...collectors.map((each) => member(each, `${count(each.waiting)} events not durable yet`, each.durable_p99_ms)),
      ...processors.map((each) => member(each, `partitions ${each.partitions.join(", ") || "none"}`, each.delay_p99_ms)),
    ],
  );

const member = ({ member: name, at, events_per_second: rate, errors }, note, slow) => ({
  key: name,
  cells: [
    h("span", { title: `said ${ago(at, Date.now())}, ${dateTime(at)}` }, words(name), h("span", { class: "fine block" }, note)),
    figure(rate, rate < 10 ? 1 : 0),
    duration(slow),
    h("span", { class: errors ? "bad-text" : null }, count(errors)),
  ],
});

/** What a Valkey that came back empty took along: as figures, since nobody has a list of it. */
function lossPanel(loss) {
  const { tone, word, says, advice } = lossWords(loss);
  return panel(
    { id: "loss", title: "What was lost", class: "whole", note: badge(tone, word) },
    h("p", { class: "check-says" }, `At ${dateTime(loss.noticed_at)} Valkey came back without what it had held. ${says}`),
    loss.log_lost &&
      table(
        "Lost records",
        [{ name: "Reader" }, { name: "Topic" }, { name: "Records not read", number: true }],
        loss.unread.map(({ group, topic, records }) => ({
          key: `${group}-${topic}`,
          cells: [words(group), h("code", {}, topic), h("span", { class: records ? "bad-text" : null }, count(records))],
        })),
      ),
    steps(advice),
    h(
      "details",
      { class: "sample" },
      h("summary", {}, "What builds up again by itself"),
      h("ul", { class: "steps" }, loss.state.map((what) => h("li", { key: what }, what))),
    ),
  );
}
