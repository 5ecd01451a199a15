// One's own account: where one is signed in, another password, a second factor.

import { act, twice } from "../acts.js";
import { read, remove, send } from "../api.js";
import { h } from "../dom.js";
import { ago, device } from "../format.js";
import { icon } from "../icons.js";
import { badge, from, heading, panel, table, terms } from "../parts.js";
import { field, newPassword, said } from "./door.js";

export const account = {
  title: "Your account",
  state: { problem: null, busy: false, asked: null, enrolment: null, codes: null, said: "" },

  sources: () => ({
    me: { read: (signal) => read("/auth/me", {}, signal) },
    sessions: { read: (signal) => read("/auth/sessions", {}, signal), every: 10_000 },
  }),

  view(screen) {
    const { feeds, state, refresh } = screen;
    return [
      heading("Your account"),
      state.said && h("p", { class: "notice", key: "said", role: "status" }, state.said),
      state.problem && h("p", { class: "trouble", key: "trouble", role: "alert" }, icon("alert"), said(state.problem)),
      panel(
        { id: "sign-ins", class: "spaced", title: "Where you are signed in" },
        from(feeds.sessions, ({ items }) => signIns(items, screen), { lines: 4, retry: refresh }),
      ),
      panel(
        { id: "factor", class: "spaced", title: "Second factor" },
        from(feeds.me, (me) => factor(me.second_factor, screen), { lines: 2, retry: refresh }),
      ),
      panel({ id: "password", title: "Password" }, password(screen)),
    ].filter(Boolean);
  },
};

const signIns = (items, screen) => [
  table(
    "Your sign-ins",
    [{ name: "Device" }, { name: "Address" }, { name: "Last used" }, { name: "" }],
    items.map((each) => ({
      key: each.id,
      cells: [
        h("span", { title: each.device }, device(each.device)),
        each.address,
        ago(each.last_used_at, Date.now()),
        each.is_current ? badge("good", "This one") : ending(each, screen),
      ],
    })),
  ),
  items.length > 1 &&
    h(
      "div",
      { class: "letter-buttons" },
      twice(screen, {
        id: "others",
        label: "End all other sign-ins",
        text: "End all others",
        step: () => remove("/auth/sessions"),
      }),
    ),
];

const ending = ({ id, device: agent }, screen) =>
  twice(screen, { id, label: `End the sign-in of ${device(agent)}`, text: "End", step: () => remove(`/auth/sessions/${id}`) });

/** A form whose fields go to `step`; what they held is gone afterwards. */
const form = (screen, key, action, step, ...fields) =>
  h(
    "form",
    {
      key,
      class: "form",
      on: {
        submit(event) {
          event.preventDefault();
          const given = Object.fromEntries(new FormData(event.target));
          act(screen, async () => {
            await step(given);
            event.target.reset();
          });
        },
      },
    },
    ...fields,
    h("button", { type: "submit", class: "button primary", disabled: screen.state.busy }, action),
  );

const proof = (id) =>
  field({ id, name: "Your password", type: "password", autocomplete: "current-password" }, null);

const code = (id) =>
  field({ id, name: "Code", type: "text", autocomplete: "one-time-code", spellcheck: "false" }, null);

function factor(isInForce, screen) {
  const { state, set } = screen;
  if (state.codes) return recovery(state.codes, set);
  if (state.enrolment) return confirming(screen);
  if (!isInForce) {
    const begin = async ({ "factor-password": given }) =>
      set({ enrolment: await send("/auth/second-factor", { password: given }) });
    return [
      h("p", {}, "A code of an authenticator app, asked for beside your password."),
      form(screen, "begin", "Set up", begin, proof("factor-password")),
    ];
  }
  const end = async (given) => {
    await send("/auth/second-factor/disable", { password: given["end-password"], code: given["end-code"] });
    set({ said: "Your password is enough again." });
  };
  return [
    h("p", {}, badge("good", "In force"), " A code is asked for whenever you log in."),
    form(screen, "end", "Give it up", end, proof("end-password"), code("end-code")),
  ];
}

function confirming(screen) {
  const { state, set } = screen;
  const confirm = async ({ "confirm-code": given }) => {
    const { codes } = await send("/auth/second-factor/confirm", { code: given });
    set({ enrolment: null, codes });
  };
  return [
    h("p", {}, "Give this to your app, then type the code it shows."),
    terms([
      ["Secret", h("code", {}, state.enrolment.secret)],
      ["On this device", h("a", { href: state.enrolment.uri }, "Open in your app")],
    ]),
    form(screen, "confirm", "Confirm", confirm, code("confirm-code")),
  ];
}

const recovery = (codes, set) => [
  h("p", {}, "It is in force. Keep these codes: each stands for one code of the app, and they are not shown again."),
  h("ul", { class: "codes" }, codes.map((each) => h("li", { key: each }, h("code", {}, each)))),
  h("button", { type: "button", class: "button primary", on: { click: () => set({ codes: null }) } }, "I have kept them"),
];

function password(screen) {
  const change = async (given) => {
    await send("/auth/password", { current_password: given["current-password"], new_password: given["new-password"] });
    screen.set({ said: "Your password is changed; your other sign-ins have ended." });
  };
  return form(screen, "password", "Change password", change, proof("current-password"), newPassword(null));
}
