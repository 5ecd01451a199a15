// Who belongs to the store: members and their roles, invitations that wait, inviting somebody.

import { act, twice } from "../acts.js";
import { announce } from "../announce.js";
import { change, read, remove, send } from "../api.js";
import { h } from "../dom.js";
import { ago, dateTime, words } from "../format.js";
import { badge, empty, from, heading, panel, storeTabs, table, terms, trouble } from "../parts.js";
import { may, role, session } from "../session.js";

const ROLES = {
  owner: "Everything, also making stores and other owners.",
  admin: "Everything else: people, keys, settings.",
  marketer: "Templates and messages; sees figures and takes data out.",
  analyst: "Sees everything but keys; trains models, runs jobs, mends dead letters.",
  developer: "What it takes to connect a shop: events, schemas, flags, keys.",
  viewer: "Looks at figures, carts and health.",
};
const mayChange = () => may("team:write");
/** Nobody gives or takes a role that may do more than their own. */
const givable = () => Object.keys(ROLES).filter((name) => name !== "owner" || role() === "owner");

export const team = {
  title: "Team",
  state: { email: "", role: "viewer", invited: null, problem: null, busy: false, asked: null },

  sources: () => ({
    members: { read: (signal) => read("/users", {}, signal), every: 10_000 },
    invitations: { read: (signal) => read("/invitations", { limit: 200 }, signal), every: 10_000 },
  }),

  view(screen) {
    const { feeds, state, refresh } = screen;
    const shown = (feed, view, lines) => from(feeds[feed], view, { lines, retry: refresh });
    return [
      storeTabs("team"),
      heading("Team"),
      state.problem && trouble(state.problem),
      h(
        "div",
        { class: "settings", key: "team" },
        panel({ id: "members", title: "Members" }, shown("members", ({ items }) => members(items, screen), 4)),
        h(
          "div",
          { class: "pipeline-side", key: "side" },
          panel({ id: "invite", title: "Invite somebody" }, ...inviting(screen)),
          panel({ id: "invitations", title: "Invitations that wait" }, shown("invitations", ({ items }) => waiting(items, screen), 3)),
          panel({ id: "roles", title: "What each role may do" }, terms(Object.entries(ROLES).map(([name, says]) => [words(name), says]), "prose")),
        ),
      ),
    ].filter(Boolean);
  },
};

const members = (items, screen) =>
  table(
    "Members",
    [{ name: "Person" }, { name: "Role" }, { name: "Since" }, { name: mayChange() ? "Remove" : "" }],
    items.map((member) => ({
      key: member.id,
      cells: [
        h("span", { class: "person" }, member.email, isMe(member) && h("span", { class: "fine block" }, "you")),
        roleOf(member, screen),
        h("span", { title: dateTime(member.created_at) }, ago(member.created_at, Date.now())),
        mayTouch(member) && twice(screen, { id: member.id, label: `Remove ${member.email}`, text: "Remove", step: () => taken(member) }),
      ],
    })),
  );

const isMe = ({ email }) => email === session().me?.email;
const mayTouch = (member) => mayChange() && !isMe(member) && givable().includes(member.role);

async function taken({ id, email }) {
  await remove(`/users/${id}`);
  announce(`${email} no longer belongs to this store.`);
}

function roleOf(member, screen) {
  if (!mayTouch(member)) return words(member.role);
  const choose = (event) =>
    act(screen, async () => {
      await change(`/users/${member.id}`, { role: event.target.value });
      announce(`${member.email} is ${event.target.value} from now on, and has to sign in again.`);
    });
  return h("select", { "aria-label": `Role of ${member.email}`, disabled: screen.state.busy, on: { change: choose } }, options(member.role));
}

const options = (chosen) => givable().map((name) => h("option", { key: name, value: name, selected: name === chosen }, words(name)));

function inviting(screen) {
  const { state, set } = screen;
  if (!mayChange()) return [h("p", {}, "Owners and admins invite people.")];
  const submit = (event) => {
    event.preventDefault();
    act(screen, async () => {
      await send("/invitations", { email: state.email.trim(), role: state.role });
      announce("The invitation is on its way.");
      set({ invited: state.email.trim(), email: "" });
    });
  };
  return [
    h(
      "form",
      { key: "invite", on: { submit } },
      h(
        "label",
        { class: "field wide" },
        h("span", {}, "E-mail"),
        h("input", { type: "email", required: true, autocomplete: "off", value: state.email, on: { input: (event) => set({ email: event.target.value, invited: null, problem: null }) } }),
      ),
      h("label", { class: "field wide" }, h("span", {}, "Role"), h("select", { on: { change: (event) => set({ role: event.target.value }) } }, options(state.role))),
      h("p", { class: "fine" }, ROLES[state.role]),
      h("div", { class: "letter-buttons" }, h("button", { type: "submit", class: "button primary", disabled: state.busy || !state.email.trim() }, "Send the invitation")),
    ),
    state.invited &&
      h(
        "p",
        { class: "notice", role: "status", key: "invited" },
        `${state.invited} gets a letter with a link. Where no mail server is set, the letter is a file in the folder mail of Recoup's data, and whoever runs Recoup hands the link over.`,
      ),
  ];
}

const waiting = (items, screen) =>
  items.length === 0
    ? empty("Nobody is invited", "Invitations wait here until they are accepted or their time is over.")
    : table(
        "Invitations",
        [{ name: "E-mail" }, { name: "Role" }, { name: "Good until" }, { name: mayChange() ? "Take back" : "" }],
        items.map((one) => ({
          key: one.id,
          cells: [
            h("span", { class: "person" }, one.email),
            badge("skipped", words(one.role)),
            h("span", { title: `made ${dateTime(one.made_at)}` }, dateTime(one.expires_at)),
            mayChange() && twice(screen, { id: one.id, label: `Take back the invitation of ${one.email}`, text: "Take back", step: () => remove(`/invitations/${one.id}`) }),
          ],
        })),
      );
