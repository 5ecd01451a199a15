// What answers about the platform itself mean on the screen: health in a sentence, rows of tables. Pure.

import { bytes, dateTime, duration, percent, plural, shortTime, words } from "./format.js";

/** The rows of an answer, be it a page or a plain list. */
export const listOf = (data) => (Array.isArray(data) ? data : (data?.items ?? []));

const LEVELS = { ready: "good", restarting: "abandoned", degraded: "abandoned", down: "bad" };

const toneOf = ({ status }) => LEVELS[status] ?? "bad";

/** How several services are together: a tone and a sentence. */
export function healthOf(services) {
  const tones = services.map(toneOf);
  const down = services.filter((_, index) => tones[index] === "bad");
  const coming = services.filter((_, index) => tones[index] === "abandoned");
  if (down.length > 0) return { tone: "bad", says: `${down.map(({ service }) => words(service)).join(", ")} down` };
  if (coming.length > 0)
    return {
      tone: "abandoned",
      says: `${coming.map(({ service, status }) => `${words(service)} ${status}`).join(", ")}`,
    };
  return { tone: "good", says: `All ${plural(services.length, "process", "processes")} ready` };
}

/** The stages events pass, summed over all processors, how much waits before them, and how long the way takes. */
export function stageRows({ processors, lag }) {
  const stages = new Map();
  for (const stage of processors.flatMap((processor) => processor.stages)) {
    const sum = stages.get(stage.stage) ?? { name: stage.stage, events: 0, rate: 0, p50: 0, p99: 0 };
    stages.set(stage.stage, {
      name: stage.stage,
      events: sum.events + stage.events,
      rate: sum.rate + stage.events_per_second,
      p50: Math.max(sum.p50, stage.milliseconds_p50),
      p99: Math.max(sum.p99, stage.milliseconds_p99),
    });
  }
  const worst = (name) => (processors.length ? Math.max(...processors.map((processor) => processor[name])) : undefined);
  return {
    stages: [...stages.values()],
    lag: lag.map(({ topic, waiting }) => ({ name: topic, waiting })),
    delay: { p50: worst("delay_p50_ms"), p99: worst("delay_p99_ms") },
  };
}

/** Reasons and how often, the most frequent first. */
export const reasonRows = (reasons) =>
  Object.entries(reasons ?? {})
    .filter(([, number]) => number > 0)
    .sort((left, right) => right[1] - left[1]);

/** What the machine gives and how much of it is in use. */
export function resources({ machine }) {
  const memory = machine.memory_usage_bytes / machine.memory_total_bytes;
  return [
    { name: "Processor", share: machine.cpu_usage_percent / 100, text: percent(machine.cpu_usage_percent / 100) },
    {
      name: "Memory",
      share: memory,
      text: `${bytes(machine.memory_usage_bytes)} of ${bytes(machine.memory_total_bytes)}`,
    },
    { name: "Disk", share: machine.disk_usage_percent / 100, text: percent(machine.disk_usage_percent / 100) },
  ];
}

const STATES = { handled: "handled", ignored: "ignored" };

/** An anomaly as its row shows it: what it is about, how long, and why it counts as one. */
export function anomalyRow({ id, kind, subject, status, started_at: from, ended_at: until, reasons, note }) {
  const period = until ? `${dateTime(from)} to ${shortTime(until)}` : `since ${dateTime(from)}`;
  return {
    key: id,
    title: kind === "unusual" || kind === "reported" ? words(subject) : `${words(kind)}: ${subject}`,
    tone: status === "open" && !until ? "bad" : status === "open" ? "abandoned" : "skipped",
    when: [period, STATES[status], note].filter(Boolean).join(" · "),
    says: reasons,
  };
}

const TONES = { succeeded: "good", failed: "bad", running: "contacted", queued: "contacted", skipped: "skipped" };

/** A job as its row shows it. */
export function jobRow({ id, service, name, cron, paused, next_run: next, last_run: last }) {
  return {
    id,
    service,
    name,
    cron,
    paused,
    next,
    state: last?.state,
    tone: TONES[last?.state] ?? "skipped",
    busy: last?.state === "running" || last?.state === "queued",
    said: last
      ? [last.result ?? last.error, typeof last.duration_seconds === "number" && duration(last.duration_seconds * 1000)]
          .filter(Boolean)
          .join(" · ")
      : "",
  };
}
