// What the live tail keeps and says of the frames that come: pure.

export const ROWS = 200; // more than anybody reads; what is older leaves the page
const MOMENT = 10_000; // milliseconds over which the rate is taken

/** Nothing seen yet. */
export const NOTHING = { rows: [], matched: 0, shown: 0, moments: [] };

/** What is known after a frame: the newest rows first, never more than `ROWS`, each with its number: not all have an id. */
export function after(seen, frame, now) {
  if (frame.type !== "events") return seen;
  const news = frame.events.map((event, index) => ({ ...event, number: seen.shown + index }));
  const rows = [...news.reverse(), ...seen.rows].slice(0, ROWS);
  const moments = [...seen.moments.filter(({ at }) => now - at < MOMENT), { at: now, matched: frame.matched, shown: frame.events.length }];
  return { rows, moments, matched: seen.matched + frame.matched, shown: seen.shown + frame.events.length };
}

/** Events per second lately, and the share of them that was shown. */
export function pace({ moments }, now) {
  const recent = moments.filter(({ at }) => now - at < MOMENT);
  if (recent.length === 0) return { rate: 0, share: 1 };
  const matched = recent.reduce((sum, moment) => sum + moment.matched, 0);
  const shown = recent.reduce((sum, moment) => sum + moment.shown, 0);
  return { rate: matched / Math.max(1, (now - recent[0].at + 500) / 1000), share: matched ? shown / matched : 1 };
}

const OUTCOMES = {
  taken: { tone: "good", word: "Taken" },
  duplicate: { tone: "skipped", word: "Sent again" },
  dead: { tone: "bad", word: "Dead letter" },
};

export const outcome = (name) => OUTCOMES[name] ?? OUTCOMES.taken;

/** Whom an event is about, in the order of what says most. */
export const whose = ({ user_id: user, anonymous_id: visitor, session_id: session, cart_id: cart }) =>
  user ?? visitor ?? session ?? cart ?? "";
