// Tells people who listen instead of look about live figures: when they changed, and not more than twice a minute.

const QUIET = 30_000;

let last = "";
let next = 0;

/** Says a sentence now; for what the person has just done. */
export function announce(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

/** Says what a screen shows, if it says something new and has been quiet for a while. */
export function onScreen(sentence) {
  if (!sentence || sentence === last || performance.now() < next) return;
  last = sentence;
  next = performance.now() + QUIET;
  announce(sentence);
}
