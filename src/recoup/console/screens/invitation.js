// Accepting an invitation: with a new password for whoever is new, with a click for whoever has an account.

import { knock } from "../api.js";
import { h, patch } from "../dom.js";
import { clearSession } from "../session.js";
import { door, newPassword, submitted, way } from "./door.js";

export async function invitation(root, { token }) {
  const state = { problem: null, busy: true, notice: "", invited: null };
  const draw = () => patch(root, [form()]);

  const form = () =>
    door(
      { title: "Invitation", state, submit, action: state.invited && (state.busy ? "Accepting…" : "Accept") },
      state.invited && offer(state.invited),
      state.invited && !state.invited.has_account && newPassword(state.problem),
      !state.invited && way("#/", "Log in"),
    );

  /** At what comes next; what stands in a field is typed over. */
  function readyToType() {
    const next = root.querySelector("#new-password, button, a");
    next.focus();
    next.select?.();
  }

  async function submit(event) {
    const send = (fields) =>
      knock("/auth/invitations/accept", { token, password: fields["new-password"] ?? null });
    if (await submitted(event, state, { draw, send })) {
      history.replaceState(null, "", "#/");
      clearSession(`You belong to ${state.invited.store} now. Log in as ${state.invited.email}.`);
      return;
    }
    readyToType();
  }

  document.title = "Invitation · Recoup";
  draw();
  try {
    state.invited = await knock("/auth/invitations/read", { token });
  } catch (problem) {
    state.problem = problem;
  }
  if (!location.hash.endsWith(token)) return; // left before the answer came
  state.busy = false;
  draw();
  readyToType();
}

const offer = ({ store, email, role, has_account: known }) =>
  h(
    "p",
    { key: "offer" },
    "You are invited to ",
    h("strong", {}, store),
    ` as ${role}. `,
    known ? `You go on signing in as ${email}.` : `Choose a password for ${email}.`,
  );
