// What answers about the platform itself mean on the screen: health in a sentence, rows of tables. Pure.

import { duration, plural, words } from "./format.js";

/** The rows of an answer, be it a page or a plain list. */
export const listOf = (data) => (Array.isArray(data) ? data : (data?.items ?? []));

const GOOD = new Set(["ready", "running", "ok", "up", "healthy"]);
const COMING = new Set(["starting", "waiting", "stopping", "pending", "restarting"]);

const toneOf = ({ status }) => (GOOD.has(status) ? "good" : COMING.has(status) ? "abandoned" : "bad");

/** How several services are together: a tone and a sentence. */
export function healthOf(services) {
  const tones = services.map(toneOf);
  const down = services.filter((_, index) => tones[index] === "bad");
  const coming = services.filter((_, index) => tones[index] === "abandoned");
  if (down.length > 0) return { tone: "bad", says: `${down.map(({ service }) => words(service)).join(", ")} not well` };
  if (coming.length > 0) return { tone: "abandoned", says: `${plural(coming.length, "service")} starting` };
  return { tone: "good", says: `All ${plural(services.length, "service")} well` };
}

/** The stages events pass, and how much waits between them. */
export function stageRows({ stages = [], lag = [] }) {
  return {
    stages: stages.map((stage) => ({
      name: stage.stage ?? stage.name,
      rows: stage.rows ?? stage.events,
      rate: stage.rate ?? stage.per_second,
      latency: stage.latency_ms ?? (stage.seconds === undefined ? undefined : stage.seconds * 1000),
    })),
    lag: lag.map((each) => ({ name: `${each.group ?? words(each.topic)}`, waiting: each.lag ?? each.waiting ?? each.records ?? 0 })),
  };
}

/** Reasons and how often, the most frequent first. */
export const reasonRows = (reasons) => Object.entries(reasons ?? {}).filter(([, number]) => number > 0).sort((left, right) => right[1] - left[1]);

export function resources(data) {
  return Object.entries(data).map(([name, value]) => ({ name: words(name), text: String(value), share: null }));
}

const TONES = { succeeded: "good", failed: "bad", running: "contacted", queued: "contacted", skipped: "skipped" };

/** A job as its row shows it. */
export function jobRow({ id, service, name, cron, paused, next_run: next, last_run: last }) {
  return {
    id, service, name, cron, paused, next,
    state: last?.state,
    tone: TONES[last?.state] ?? "skipped",
    busy: last?.state === "running" || last?.state === "queued",
    said: last ? [last.result ?? last.error, typeof last.duration_seconds === "number" && duration(last.duration_seconds * 1000)].filter(Boolean).join(" · ") : "",
  };
}
