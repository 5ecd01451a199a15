// What the dead letter screen reads out of the API's answers. Pure.

const TONES = {
  open: "abandoned",
  waiting: "open",
  sending: "open",
  unsure: "bad",
  repaired: "good",
  replayed: "good",
  dismissed: "held_out",
};
const TO_DO = new Set(["open", "waiting", "unsure", "sending"]);
const SENT = new Set(["repaired", "replayed"]);

export const tone = (status) => TONES[status] ?? "held_out";

/** Whether a letter waits with a repair that is likelier right than wrong. */
export const isMended = ({ confidence, status }) => (confidence ?? 0) > 0.5 && status === "open";

/** The text of an event, indented where it is JSON and as it is where it is not. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Counts by kind and status as one row for each kind, the fullest first. */
export function totals(counts) {
  const rows = new Map();
  for (const { kind, status, letters } of counts) {
    const row = rows.get(kind) ?? { kind, open: 0, sent: 0, all: 0 };
    row.all += letters;
    if (TO_DO.has(status)) row.open += letters;
    if (SENT.has(status)) row.sent += letters;
    rows.set(kind, row);
  }
  return [...rows.values()].sort((left, right) => right.open - left.open || right.all - left.all);
}

/** Two texts line by line: what stayed, what is gone (-), what is new (+), by their longest common course. */
export function compared(before, after) {
  const left = pretty(before).split("\n");
  const right = pretty(after).split("\n");
  const common = Array.from({ length: left.length + 1 }, () => new Uint16Array(right.length + 1));
  for (let i = left.length - 1; i >= 0; i--)
    for (let j = right.length - 1; j >= 0; j--)
      common[i][j] =
        left[i] === right[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      lines.push({ sign: " ", text: left[i] });
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && common[i + 1][j] >= common[i][j + 1])) {
      lines.push({ sign: "-", text: left[i] });
      i += 1;
    } else {
      lines.push({ sign: "+", text: right[j] });
      j += 1;
    }
  }
  return lines;
}
