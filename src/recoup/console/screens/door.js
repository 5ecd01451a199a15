// What the screens in front of the door have in common: a form, its fields, and what went wrong.

import { h } from "../dom.js";
import { icon, mark } from "../icons.js";

const PROBLEM = "door-problem";

/** A screen with one form. `state` has `busy`, `problem` and `notice`; `action` is what the button says; `below` it. */
export const door = ({ title, state, submit, action, below = [] }, ...content) =>
  h(
    "main",
    { class: "login", key: title },
    h(
      "form",
      { on: { submit } },
      h("p", { class: "brand" }, mark(36), h("span", {}, "Recoup")),
      h("h1", {}, title),
      state.notice && h("p", { class: "notice", role: "status" }, state.notice),
      ...content,
      state.problem && h("p", { class: "trouble", id: PROBLEM, role: "alert" }, icon("alert"), said(state.problem)),
      action && h("button", { type: "submit", class: "button primary", disabled: state.busy }, action),
      ...below,
    ),
  );

export const field = ({ id, name, hint, ...input }, problem) =>
  h(
    "div",
    { class: "field", key: id },
    h("label", { for: id }, name),
    h("input", { id, name: id, required: true, ...input, "aria-describedby": problem ? PROBLEM : null }),
    hint && h("p", { class: "fine" }, hint),
  );

export const newPassword = (problem) =>
  field(
    {
      id: "new-password",
      name: "New password",
      type: "password",
      autocomplete: "new-password",
      hint: "At least 12 characters, and nothing that others would guess first.",
    },
    problem,
  );

/** A way to another of these screens. */
export const way = (address, text) => h("p", { class: "fine" }, h("a", { href: address }, text));

/** The problem's words and those of every rule that was broken. */
export const said = (problem) => [problem.message, ...problem.fields.map((broken) => broken.detail)].join(": ");

/** Draws, sends what a form says, and draws what came of it. `send` gets the fields; `draw` shows the state. */
export async function submitted(event, state, { draw, send }) {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(event.target));
  Object.assign(state, { busy: true, problem: null, notice: "" });
  draw();
  try {
    await send(fields);
    return true;
  } catch (problem) {
    Object.assign(state, { busy: false, problem });
    draw();
    return false;
  }
}
