// Logging in with e-mail and password. Where the first account's password is to be found is said on the page.

import { login as enter } from "../api.js";
import { h, patch } from "../dom.js";
import { icon, mark } from "../icons.js";
import { session } from "../session.js";

export function login(root) {
  const state = { problem: null, busy: false, notice: session().notice };

  async function submit(event) {
    event.preventDefault();
    const fields = new FormData(event.target);
    Object.assign(state, { busy: true, problem: null, notice: "" });
    draw();
    try {
      await enter(fields.get("email").trim(), fields.get("password"));
    } catch (problem) {
      Object.assign(state, { busy: false, problem });
      draw();
      document.getElementById("password").select();
    }
  }

  const draw = () => patch(root, [form(state, submit)]);
  document.title = "Log in · Recoup";
  draw();
  document.getElementById("email").focus();
}

const form = ({ problem, busy, notice }, submit) =>
  h(
    "main",
    { class: "login", key: "login" },
    h(
      "form",
      { on: { submit } },
      h("p", { class: "brand" }, mark(36), h("span", {}, "Recoup")),
      h("h1", {}, "Log in"),
      notice && h("p", { class: "notice", role: "status" }, notice),
      field({ id: "email", name: "E-mail", type: "email", autocomplete: "username" }, problem),
      field({ id: "password", name: "Password", type: "password", autocomplete: "current-password" }, problem),
      problem && h("p", { class: "trouble", id: "login-problem", role: "alert" }, icon("alert"), problem.message),
      h("button", { type: "submit", class: "button primary", disabled: busy }, busy ? "Logging in…" : "Log in"),
      h(
        "p",
        { class: "fine" },
        "First time here? The first account stands in ",
        h("code", {}, "first-run.json"),
        " in the data folder of this installation.",
      ),
    ),
  );

const field = ({ id, name, type, autocomplete }, problem) =>
  h(
    "div",
    { class: "field", key: id },
    h("label", { for: id }, name),
    h("input", {
      id,
      name: id,
      type,
      autocomplete,
      required: true,
      "aria-describedby": problem ? "login-problem" : null,
    }),
  );
