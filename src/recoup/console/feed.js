// Live data: reads each source of a screen at its own pace and keeps the last good answer when a later one fails.

const LONGEST_REST = 5_000;
const SLOWEST = 30_000;

/** Follows `sources` ({name: {read, every}}); calls `changed(snapshot)` with {name: {data, problem, at}}. Returns stop and refresh. */
export function follow(sources, changed) {
  const control = new AbortController();
  const snapshot = Object.fromEntries(
    Object.keys(sources).map((name) => [name, { data: null, problem: null, at: null }]),
  );
  const timers = {};

  async function ask(name, failures = 0) {
    clearTimeout(timers[name]);
    const { read, every } = sources[name];
    const asked = performance.now();
    const failed = await read(control.signal).then(
      (data) => note(name, { data, problem: null, at: Date.now() }),
      (problem) => note(name, { problem }),
    );
    if (control.signal.aborted || !every) return;
    // What takes long to answer is asked less often, so that a busy machine isn't kept busy by being watched.
    const rest = Math.max(every, Math.min(2 * (performance.now() - asked), LONGEST_REST));
    const pause = failed ? Math.min(every * 2 ** (failures + 1), SLOWEST) : rest;
    timers[name] = setTimeout(() => ask(name, failed ? failures + 1 : 0), pause);
  }

  function note(name, outcome) {
    if (control.signal.aborted) return false;
    snapshot[name] = { ...snapshot[name], ...outcome };
    changed(snapshot);
    return Boolean(outcome.problem);
  }

  const refresh = () => Object.keys(sources).forEach((name) => ask(name));
  const onVisibility = () => {
    if (document.hidden) Object.values(timers).forEach(clearTimeout);
    else refresh();
  };
  document.addEventListener("visibilitychange", onVisibility);
  refresh();
  return {
    refresh,
    stop() {
      control.abort();
      Object.values(timers).forEach(clearTimeout);
      document.removeEventListener("visibilitychange", onVisibility);
    },
  };
}
