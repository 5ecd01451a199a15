// What the pipeline's status means on the screen: stages in the order an event takes them, and what waits. Pure.

const KEPT = 60;

const most = (rows, name) => (rows.length ? Math.max(...rows.map((row) => row[name])) : undefined);
const total = (rows, name) => rows.reduce((sum, row) => sum + row[name], 0);

/** All of it at a glance. */
export function glance({ collectors, processors, lag }) {
  return {
    rate: total(processors, "events_per_second"),
    durable: { p50: most(collectors, "durable_p50_ms"), p99: most(collectors, "durable_p99_ms") },
    delay: { p50: most(processors, "delay_p50_ms"), p99: most(processors, "delay_p99_ms") },
    waiting: total(lag, "waiting"),
    errors: total(collectors, "errors") + total(processors, "errors"),
  };
}

/** The stages over all processors: the slowest one's times, all errors, and each stage's share of the time. */
export function stages({ processors }) {
  const found = new Map();
  for (const stage of processors.flatMap((processor) => processor.stages)) {
    const known = found.get(stage.stage) ?? { name: stage.stage, p50: 0, p99: 0, errors: 0 };
    found.set(stage.stage, {
      name: stage.stage,
      p50: Math.max(known.p50, stage.milliseconds_p50),
      p99: Math.max(known.p99, stage.milliseconds_p99),
      errors: known.errors + stage.errors,
    });
  }
  const whole = [...found.values()].reduce((sum, { p50 }) => sum + p50, 0);
  return [...found.values()].map((stage) => ({ ...stage, share: whole ? stage.p50 / whole : 0 }));
}

/** What waits, by topic: the groups that read it, the one furthest behind first. */
export function queues({ lag, topics }) {
  const held = new Map(topics.map(({ topic, records }) => [topic, records]));
  const found = new Map();
  for (const { group, topic, waiting } of lag) {
    const queue = found.get(topic) ?? { topic, held: held.get(topic), groups: [] };
    queue.groups.push({ group, waiting });
    found.set(topic, queue);
  }
  for (const { groups } of found.values()) groups.sort((left, right) => right.waiting - left.waiting);
  return [...found.values()];
}

/** The course of a figure, as long as the screen is open. */
export const grown = (course, value) => [...course, value].slice(-KEPT);

/** Whether it keeps up, as a tone and words. */
export function health(status) {
  const { waiting, errors } = glance(status);
  if (status.processors.length === 0) return { tone: "bad", says: "No processor is running" };
  if (status.collectors.length === 0) return { tone: "bad", says: "No collector is running" };
  if (waiting > 5_000) return { tone: "abandoned", says: "Falling behind" };
  return errors ? { tone: "abandoned", says: "Keeping up, after errors" } : { tone: "good", says: "Keeping up" };
}

const SEND_AGAIN = "Ask the shop to send again what it sent around that time, as it keeps it: ids make repeats harmless where they are still known.";
const KEEP = "Find out why it came back empty: a lost disk, a wrong volume, or somebody who emptied it. Keep its folder on a disk you trust, or use Kafka as the log.";
const GONE = "Carts that were left at that moment are not reported as abandoned. Nothing has to be started anew: everything goes on by itself.";

/** A loss as a tone, a word, what it comes to and what to do about it. */
export function lossWords({ log_lost: isLogLost, looked_at: lookedAt, unread, unread_since: since }) {
  if (!lookedAt)
    return { tone: "bad", word: "Extent not known", says: "Nobody had looked at the log since this process started, so how much it held is not known.", advice: [SEND_AGAIN, KEEP, GONE] };
  if (!isLogLost)
    return { tone: "good", word: "No event lost", says: "The log is elsewhere and whole, so no event is lost; what was known of carts and people has to build up again.", advice: [GONE, KEEP] };
  const records = Math.max(0, ...unread.map((one) => one.records)) + since;
  if (records === 0)
    return { tone: "good", word: "No event lost", says: "Every reader had read the whole log, so no event is lost.", advice: [GONE, KEEP] };
  return {
    tone: "bad",
    word: "Events lost",
    says: `Up to ${records} records of the log were not read by somebody${since ? `, ${since} of them from the last second before` : ""}; a record holds one event or many.`,
    advice: [SEND_AGAIN, KEEP, GONE],
  };
}
