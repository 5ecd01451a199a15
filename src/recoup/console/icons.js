// The console's icons: strokes on a 24 × 24 grid, drawn in the colour of the text beside them and hidden from readers.

import { h } from "./dom.js";

const PATHS = {
  overview: "M4 19V9.5M10 19V5M16 19v-6.5M21 19H3",
  carts: "M3 4h2.2l2 11h10.3l2-8H6M9 19.2v.1M16.4 19.2v.1",
  outbox: "M3.5 6.5h17v11h-17zM4 7l8 6 8-6",
  letters: "M3.5 6.5h17v7M3.5 6.5v11H13M4 7l8 6 8-6M16 16l4.5 4.5M20.5 16 16 20.5",
  readiness: "M4 6.5l1.6 1.6L8.5 5M4 12.5l1.6 1.6 2.9-3.1M4 18.5l1.6 1.6 2.9-3.1M12 7h8M12 13h8M12 19h8",
  live: "M12 10.4a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2M8.2 8.2a5.4 5.4 0 0 0 0 7.6M15.8 8.2a5.4 5.4 0 0 1 0 7.6M5.4 5.4a9.3 9.3 0 0 0 0 13.2M18.6 5.4a9.3 9.3 0 0 1 0 13.2",
  pipeline: "M3.5 5h17l-6.5 7.5V19l-4-2v-4.5z",
  schemas: "M8.5 4.5c-3 0-2 3-2.5 5.5-.3 1.2-1 1.8-2 2 1 .2 1.7.8 2 2 .5 2.5-.5 5.5 2.5 5.5M15.5 4.5c3 0 2 3 2.5 5.5.3 1.2 1 1.8 2 2-1 .2-1.7.8-2 2-.5 2.5.5 5.5-2.5 5.5",
  routing: "M3.5 12h5M8.5 12c5 0 3.5-6 8.5-6h3M8.5 12c5 0 3.5 6 8.5 6h3M17.6 3.4 20.5 6l-2.9 2.6M17.6 15.4l2.9 2.6-2.9 2.6",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4M9 14.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4",
  team: "M9 5.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M3 19c0-3.3 2.7-5 6-5s6 1.7 6 5M15.5 5.8a3 3 0 0 1 0 5.4M17.5 14.5c2.1.6 3.5 2.1 3.5 4.5",
  keys: "M8 12a4 4 0 1 0 0 8 4 4 0 0 0 0-8M10.8 13.2 20 4M15.5 8.5l3 3M18 6l2 2",
  flags: "M5.5 20.5v-16M5.5 5.5c4-2 8 2 13 0v8c-5 2-9-2-13 0",
  audit: "M6 3.5h9l3.5 3.5v13.5H6zM9 9h6M9 12.5h6M9 16h3.5",
  system: "M3 12h4l2.5-7 5 14 2.5-7h4",
  light:
    "M12 8.2a3.8 3.8 0 1 0 0 7.6 3.8 3.8 0 0 0 0-7.6M12 3v1.6M12 19.4V21M4.6 4.6l1.2 1.2M18.2 18.2l1.2 1.2M3 12h1.6M19.4 12H21M4.6 19.4l1.2-1.2M18.2 5.8l1.2-1.2",
  dark: "M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7",
  system_theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  leave: "M14 5H5v14h9M10 12h10M16.5 8.5 20 12l-3.5 3.5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  cross: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4.4l3 1.8",
  alert: "M12 4.5 21 19.5H3zM12 10.5v4M12 16.9v.1",
  back: "M19 12H5M11 6l-6 6 6 6",
  search: "M10.5 4.5a6 6 0 1 0 0 12 6 6 0 0 0 0-12M15 15l5 5",
  spark: "M12 3.5 14 10l6.5 2-6.5 2-2 6.5L10 14l-6.5-2L10 10z",
  fork: "M4 12h5c5 0 4-6 11-6M9 12c5 0 4 6 11 6M17 3.2 20 6l-3 2.8M17 15.2l3 2.8-3 2.8",
  send: "M4 12 20 4.5 15 20l-3.4-6.4z",
  eye: "M2.8 12S6 5.8 12 5.8 21.2 12 21.2 12 18 18.2 12 18.2 2.8 12 2.8 12M12 9.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2",
  pause: "M9 6v12M15 6v12",
  order: "M6 3.5h12v17l-3-2-3 2-3-2-3 2zM9 8.5h6M9 12.5h6",
  up: "M12 19V5.5M6.5 11 12 5.5 17.5 11",
  dot: "M12 11.9v.2",
  play: "M8 5.5v13l10.5-6.5z",
};

export const icon = (name, size = 20) =>
  h(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] ?? PATHS.dot }),
  );

/** The mark: an arrow that turns back. */
export const mark = (size = 28) =>
  h(
    "svg",
    { class: "mark", viewBox: "0 0 32 32", width: size, height: size, "aria-hidden": "true", focusable: "false" },
    h("rect", { width: 32, height: 32, rx: 8 }),
    h("path", { d: "M10 12.5h8.5a4.75 4.75 0 0 1 0 9.5H12M13.6 8.6l-3.9 3.9 3.9 3.9" }),
  );
