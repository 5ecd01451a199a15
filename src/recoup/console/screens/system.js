// How the platform itself is: services, the way of the events, what was refused, the machine, anomalies, jobs.

import { read, send } from "../api.js";
import { announce } from "../announce.js";
import { h } from "../dom.js";
import { ago, bytes, count, dateTime, duration, percent, words } from "../format.js";
import { badge, empty, from, heading, panel, table, terms } from "../parts.js";
import { anomalyRow, healthOf, jobRow, listOf, reasonRows, resources, stageRows } from "../system_readings.js";
import { session, may } from "../session.js";

const SHOWN = 12;

export const system = {
  title: "System",
  state: { running: {}, problem: null },

  sources: () => ({
    services: { read: (signal) => read("/services/status", {}, signal), every: 3000 },
    pipeline: { read: (signal) => read("/pipeline/status", {}, signal), every: 3000 },
    stats: { read: (signal) => read("/events/stats", {}, signal), every: 3000 },
    machine: { read: (signal) => read("/infrastructure", {}, signal), every: 5000 },
    anomalies: { read: (signal) => read("/anomalies", {}, signal), every: 10_000 },
    jobs: { read: (signal) => read("/jobs", {}, signal), every: 5000 },
  }),

  spoken: ({ services: { data } }) => (data ? healthOf(listOf(data)).says : ""),

  view({ feeds, state, set, refresh }) {
    const health = feeds.services.data && healthOf(listOf(feeds.services.data));
    return [
      heading("System", health && badge(health.tone, health.says)),
      h(
        "div",
        { class: "system", key: "system" },
        h(
          "div",
          { class: "system-column" },
          panel({ id: "services", title: "Services" }, from(feeds.services, services, { lines: 8, retry: refresh })),
          panel({ id: "stats", title: "Events of this store" }, from(feeds.stats, stats, { lines: 4, retry: refresh })),
          panel({ id: "anomalies", title: "Anomalies" }, from(feeds.anomalies, anomalies, { retry: refresh })),
        ),
        h(
          "div",
          { class: "system-column" },
          panel(
            { id: "pipeline", title: "Path of the events", note: h("span", { class: "pulse" }, "every 3 s") },
            from(feeds.pipeline, pipeline, { lines: 5, retry: refresh }),
          ),
          panel({ id: "machine", title: "Infrastructure" }, from(feeds.machine, machine, { lines: 4, retry: refresh })),
          panel(
            { id: "jobs", title: "Jobs" },
            from(feeds.jobs, (data) => jobs(listOf(data), { state, set, refresh }), { lines: 4, retry: refresh }),
          ),
        ),
      ),
    ];
  },
};

const services = (data) =>
  table(
    "Services",
    [
      { name: "Service" },
      { name: "State" },
      { name: "Latency", number: true },
      { name: "Restarts", number: true },
      { name: "Since", tight: true },
    ],
    listOf(data).map((each) => {
      const { tone } = healthOf([each]);
      return {
        key: each.service,
        cells: [
          h(
            "span",
            {},
            words(each.service),
            each.detail && h("span", { class: "fine block" }, each.detail),
            checks(each),
          ),
          badge(tone, words(each.status)),
          duration(each.latency_ms),
          count(each.restarts),
          h("span", { title: dateTime(each.since) }, ago(each.since, Date.now())),
        ],
      };
    }),
  );

function checks({ checks: all }) {
  const failing = Object.entries(all ?? {}).filter(([, answer]) => answer !== "ok");
  return (
    failing.length > 0 &&
    h("span", { class: "fine block bad-text" }, failing.map(([name, answer]) => `${name}: ${answer}`).join(", "))
  );
}

const pipeline = (data) => {
  const { stages, lag, delay } = stageRows(data);
  return [
    terms(
      [
        ["Received to enriched", duration(delay.p50), `half of them; 99 % within ${duration(delay.p99)}`],
        ...lag.map(({ name, waiting }) => ["Waiting", count(waiting), `records of ${name}`]),
      ],
      "grid",
    ),
    stages.length > 0 &&
      table(
        "Stages",
        [
          { name: "Stage" },
          { name: "Events", number: true },
          { name: "Per second", number: true },
          { name: "Per batch", number: true },
        ],
        stages.map(({ name, events, rate, p50, p99 }) => ({
          key: name,
          cells: [
            words(name),
            count(events),
            count(Math.round(rate)),
            h("span", { title: `99 %: ${duration(p99)}` }, duration(p50)),
          ],
        })),
      ),
  ];
};

function stats(data) {
  const refused = reasonRows(data.refused);
  const dead = reasonRows(data.dead);
  return [
    terms(
      [
        ["Accepted", count(data.accepted)],
        ["Unique", count(data.unique)],
        ["Duplicates", count(data.duplicates), "sent again, harmless"],
        ["Last event", dateTime(data.last_event_at)],
      ],
      "grid",
    ),
    refused.length + dead.length === 0
      ? h("p", { class: "fine" }, "Nothing has been refused, and no dead letters.")
      : table(
          "Refused events and dead letters",
          [{ name: "What went wrong" }, { name: "Where" }, { name: "Events", number: true }],
          [
            ...refused.map(([reason, number]) => ({
              key: `refused-${reason}`,
              cells: [words(reason), "refused at the door", count(number)],
            })),
            ...dead.map(([reason, number]) => ({
              key: `dead-${reason}`,
              cells: [words(reason), "dead letter", count(number)],
            })),
          ],
        ),
  ];
}

const machine = (data) => [
  h(
    "ul",
    { class: "meters" },
    resources(data).map(({ name, share, text }) =>
      h(
        "li",
        { key: name },
        h("span", {}, name),
        h("span", { class: "number" }, text),
        h(
          "span",
          {
            class: `meter ${share > 0.9 ? "high" : ""}`,
            role: "meter",
            "aria-label": name,
            "aria-valuemin": 0,
            "aria-valuemax": 100,
            "aria-valuenow": Math.round(share * 100),
          },
          h("span", { style: { width: percent(share, 1) } }),
        ),
      ),
    ),
  ),
  table(
    "Processes",
    [{ name: "Process" }, { name: "Processor", number: true }, { name: "Memory", number: true }],
    data.processes.map((each) => ({
      key: each.service,
      cells: [
        words(each.service),
        each.cpu_usage_percent === null ? "–" : percent(each.cpu_usage_percent / 100),
        bytes(each.memory_usage_bytes),
      ],
    })),
  ),
];

function anomalies(data) {
  const found = listOf(data);
  if (found.length === 0) return h("p", { class: "fine" }, "Nothing unusual in this store's figures.");
  return h(
    "ul",
    { class: "anomalies" },
    found.slice(0, SHOWN).map((each) => {
      const { key, title, tone, says, when } = anomalyRow(each);
      return h(
        "li",
        { key },
        h("p", {}, badge(tone, title), h("span", { class: "fine" }, when)),
        says.map((reason) => h("p", { class: "fine" }, reason)),
      );
    }),
  );
}

function jobs(all, { state, set, refresh }) {
  if (all.length === 0) return empty("No jobs yet", "Services offer theirs within a minute of starting.");
  const mayRun = may("jobs:write") && Boolean(session().store);
  const run = async (job) => {
    set({ running: { ...state.running, [job.id]: true }, problem: null });
    try {
      await send(`/jobs/${encodeURIComponent(job.id)}/run`);
      announce(`${job.name} was started.`);
    } catch (problem) {
      set({ problem: `${words(job.name)}: ${problem.message}` });
    }
    set({ running: { ...state.running, [job.id]: false } });
    refresh();
  };
  return [
    state.problem && h("p", { class: "stale", role: "alert" }, state.problem),
    h(
      "ul",
      { class: "jobs" },
      all.map(jobRow).map((job) => jobView(job, mayRun && { run, starting: Boolean(state.running[job.id]) })),
    ),
  ];
}

const jobView = (job, may) =>
  h(
    "li",
    { key: job.id },
    h(
      "div",
      {},
      h(
        "p",
        {},
        h("b", {}, words(job.name)),
        " ",
        job.state ? badge(job.tone, words(job.state)) : h("span", { class: "fine" }, "never run"),
      ),
      h(
        "p",
        { class: "fine" },
        [
          words(job.service),
          h("code", { title: "minute hour day month weekday, in UTC" }, job.cron),
          job.paused ? "paused" : `next ${dateTime(job.next)}`,
        ].flatMap((part, index) => (index ? [" · ", part] : [part])),
      ),
      job.said && h("p", { class: "fine" }, job.said),
    ),
    may &&
      h(
        "button",
        {
          type: "button",
          class: "button small",
          disabled: may.starting || job.busy,
          "aria-label": `Run ${words(job.name)} now`,
          on: { click: () => may.run(job) },
        },
        job.busy ? "Running" : "Run now",
      ),
  );
