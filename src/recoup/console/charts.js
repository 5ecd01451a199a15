// Charts as SVG of our own: a sparkline, bars by day, an estimate with its interval. Each has its figures as text, too.

import { h } from "./dom.js";

/** Where a value lies between two others, 0–1. */
export const share = (value, low, high) => (high === low ? 0 : Math.min(1, Math.max(0, (value - low) / (high - low))));

/** A round number at or above `value`, for the top of an axis. */
export function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** A line of values from the left (oldest) to the right (newest), in a box of `width` × `height` units. */
export function linePath(values, width, height) {
  const top = Math.max(...values, 1);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  return values
    .map((value, index) => `${index ? "L" : "M"}${point(index * step)} ${point(height - (value / top) * height)}`)
    .join("");
}

const point = (value) => Math.round(value * 10) / 10;

export function sparkline(values, label) {
  const line = linePath(values, 300, 44);
  return h(
    "svg",
    { class: "sparkline", viewBox: "0 -3 300 50", preserveAspectRatio: "none", role: "img", "aria-label": label },
    h("path", { class: "area", d: `${line}L300 47L0 47Z` }),
    h("path", { class: "line", d: line, "vector-effect": "non-scaling-stroke" }),
  );
}

/** Bars from the oldest to the newest. Each is {key, label, value, text}; `axis` writes a value of the scale. */
export function bars(points, { label, axis }) {
  const top = roundUp(Math.max(...points.map((entry) => entry.value), 0));
  const every = Math.ceil(points.length / 8);
  const named = (index) => index % every === 0 && (index === 0 || points.length - index > every / 2);
  return h(
    "figure",
    { class: "bars", "aria-label": label },
    h(
      "div",
      { class: "bars-scale", "aria-hidden": "true" },
      [top, top / 2, 0].map((value) => h("span", {}, axis(value))),
    ),
    h(
      "ol",
      { class: "bars-plot" },
      points.map(({ key, label: name, value, text }, index) =>
        h(
          "li",
          {
            key,
            tabindex: 0,
            "aria-label": `${name}: ${text}`,
            style: { "--height": `${share(value, 0, top) * 100}%` },
          },
          h("span", { class: "bar" }),
          h("span", { class: "bar-tip", "aria-hidden": "true" }, h("b", {}, text), name),
          named(index) &&
            h("span", { class: `bar-name ${index % (2 * every) ? "minor" : ""}`, "aria-hidden": "true" }, name),
        ),
      ),
    ),
  );
}

/** Where an interval, its estimate and zero lie on a common scale, each 0–1. */
export function intervalPlaces({ amount, low, high }) {
  const least = Math.min(low, 0);
  const most = Math.max(high, 0);
  const room = (most - least || 1) * 0.04;
  const place = (value) => share(value, least - room, most + room);
  return { low: place(low), high: place(high), amount: place(amount), zero: place(0) };
}

/** An estimate as a dot on its interval, against zero. */
export function interval(estimate, { write }) {
  const at = intervalPlaces(estimate);
  const across = (value) => `${value * 100}%`;
  return h(
    "div",
    { class: "interval" },
    h(
      "div",
      { class: "interval-scale", "aria-hidden": "true" },
      h("span", { class: "interval-zero", style: { left: across(at.zero) } }),
      h("span", { class: "interval-range", style: { left: across(at.low), right: across(1 - at.high) } }),
      h("span", { class: "interval-dot", style: { left: across(at.amount) } }),
    ),
    h("p", { class: "interval-names" }, `95 % interval: ${write(estimate.low)} to ${write(estimate.high)}`),
  );
}
