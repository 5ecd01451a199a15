// What a person sets going: one thing at a time, its problem shown; asked twice where it cannot be undone.

import { announce } from "./announce.js";
import { h } from "./dom.js";

/** Takes a step and reads everything anew; what went wrong is the screen's `problem`. */
export async function act({ set, refresh }, step) {
  set({ busy: true, problem: null });
  try {
    await step();
    refresh();
  } catch (problem) {
    set({ problem });
  } finally {
    set({ busy: false });
  }
}

/** A button that does nothing before it was clicked twice. `label` says it whole, `text` where it stands. */
export function twice(screen, { id, label, text, step }) {
  const { state, set } = screen;
  const isSure = state.asked === id;
  const ask = () => {
    set({ asked: id });
    announce("Really? Click again.");
  };
  const go = () =>
    act(screen, async () => {
      set({ asked: null });
      await step();
    });
  return h(
    "button",
    { type: "button", key: `twice-${id}`, class: "button small", "aria-label": label, disabled: state.busy, on: { click: isSure ? go : ask } },
    isSure ? "Really? Click again" : text,
  );
}
