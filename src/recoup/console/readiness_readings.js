// What the readiness answer means on the screen: tones and words of verdicts. Pure.

const VERDICTS = {
  ready: { tone: "good", word: "Ready" },
  attention: { tone: "abandoned", word: "Look at this" },
  missing: { tone: "bad", word: "Missing" },
  unused: { tone: "skipped", word: "Not used" },
  unknown: { tone: "skipped", word: "Not known yet" },
};
const SEVERITIES = {
  critical: { tone: "bad", word: "Critical" },
  warning: { tone: "abandoned", word: "Warning" },
  info: { tone: "skipped", word: "For your information" },
};

/** A verdict as a tone and a word. */
export const verdict = (name) => VERDICTS[name] ?? VERDICTS.unknown;

export const severity = (name) => SEVERITIES[name] ?? SEVERITIES.info;

/** The whole page in one sentence. */
export function summary({ verdict: name, checks, warnings }) {
  const missing = checks.filter((check) => check.verdict === "missing").length;
  const attention = checks.filter((check) => check.verdict === "attention").length;
  if (name === "missing") return `${missing} of ${checks.length} checks fail`;
  if (name === "attention") return `It works; ${attention} of ${checks.length} checks want a look`;
  return warnings.length ? "Ready, with warnings" : "Ready";
}
