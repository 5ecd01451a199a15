// Logging in: e-mail and password, and a code where the account has a second factor.

import { login as enter } from "../api.js";
import { h, patch } from "../dom.js";
import { session } from "../session.js";
import { door, field, submitted, way } from "./door.js";

const ASKS_FOR_CODE = new Set(["second_factor_required", "second_factor_wrong"]);

export function login(root) {
  const state = { problem: null, busy: false, notice: session().notice, asksForCode: false };
  const draw = () => patch(root, [form(state, submit)]);

  async function submit(event) {
    const send = ({ email, password, code }) => enter(email.trim(), password, code?.trim());
    if (await submitted(event, state, { draw, send })) return;
    if (state.problem.code === "second_factor_required") Object.assign(state, { asksForCode: true, problem: null });
    else state.asksForCode &&= ASKS_FOR_CODE.has(state.problem.code);
    draw();
    document.getElementById(state.asksForCode ? "code" : "password").select();
  }

  document.title = "Log in · Recoup";
  draw();
  document.getElementById("email").focus();
}

const form = (state, submit) =>
  door(
    { title: "Log in", state, submit, action: state.busy ? "Logging in…" : "Log in", below: below() },
    field({ id: "email", name: "E-mail", type: "email", autocomplete: "username" }, state.problem),
    field({ id: "password", name: "Password", type: "password", autocomplete: "current-password" }, state.problem),
    state.asksForCode && field(CODE, state.problem),
  );

const CODE = {
  id: "code",
  name: "Code",
  type: "text",
  autocomplete: "one-time-code",
  spellcheck: "false",
  hint: "Of your authenticator app, or one of your recovery codes.",
};

const below = () => [
  way("#/forgotten", "Forgotten your password?"),
  h(
    "p",
    { class: "fine" },
    "First time here? The first account stands in ",
    h("code", {}, "first-run.json"),
    " in the data folder of this installation.",
  ),
];
