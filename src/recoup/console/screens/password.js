// A forgotten password: asking for a letter, and choosing another one with the link it holds.

import { knock } from "../api.js";
import { patch } from "../dom.js";
import { clearSession } from "../session.js";
import { door, field, newPassword, submitted, way } from "./door.js";

export function forgotten(root) {
  const state = { problem: null, busy: false, notice: "" };
  const draw = () => patch(root, [form()]);

  const form = () =>
    door(
      {
        title: "Forgotten password",
        state,
        submit,
        action: state.busy ? "Sending…" : "Send me a link",
        below: [way("#/", "Back to log in")],
      },
      field({ id: "email", name: "E-mail", type: "email", autocomplete: "username" }, state.problem),
    );

  async function submit(event) {
    const send = async ({ email }) => {
      const { detail } = await knock("/auth/password/forgotten", { email: email.trim() });
      Object.assign(state, { busy: false, notice: detail });
    };
    await submitted(event, state, { draw, send });
    draw();
  }

  document.title = "Forgotten password · Recoup";
  draw();
  document.getElementById("email").focus();
}

export function reset(root, { token }) {
  const state = { problem: null, busy: false, notice: "" };
  const draw = () => patch(root, [form()]);

  const form = () =>
    door(
      {
        title: "New password",
        state,
        submit,
        action: state.busy ? "Setting…" : "Set password",
        below: [way("#/forgotten", "Ask for another link")],
      },
      newPassword(state.problem),
    );

  async function submit(event) {
    const send = (fields) => knock("/auth/password/reset", { token, password: fields["new-password"] });
    if (await submitted(event, state, { draw, send })) {
      history.replaceState(null, "", "#/");
      clearSession("Your password is set. Log in with it.");
      return;
    }
    document.getElementById("new-password").select();
  }

  document.title = "New password · Recoup";
  draw();
  document.getElementById("new-password").focus();
}
