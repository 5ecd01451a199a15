// Starts the console: which screens there are, which address shows which, the frame around them.

import { h, patch } from "./dom.js";
import { icon, mark } from "./icons.js";
import { logout } from "./api.js";
import { isLoggedIn, onSession, role, saveSession, session } from "./session.js";
import { nextTheme, setTheme, theme } from "./theme.js";
import { createStage } from "./stage.js";
import { live } from "./screens/live.js";
import { invitation } from "./screens/invitation.js";
import { login } from "./screens/login.js";
import { forgotten, reset } from "./screens/password.js";
import { EVENT_SCREENS, STORE_SCREENS } from "./parts.js";
import { account } from "./screens/account.js";
import { audit } from "./screens/audit.js";
import { overview } from "./screens/overview.js";
import { carts } from "./screens/carts.js";
import { cart } from "./screens/cart.js";
import { flags } from "./screens/flags.js";
import { keys } from "./screens/keys.js";
import { letters } from "./screens/letters.js";
import { outbox } from "./screens/outbox.js";
import { pipeline } from "./screens/pipeline.js";
import { readiness } from "./screens/readiness.js";
import { routing } from "./screens/routing.js";
import { schemas } from "./screens/schemas.js";
import { settings } from "./screens/settings.js";
import { system } from "./screens/system.js";
import { team } from "./screens/team.js";

const NAV = [
  { path: "overview", name: "Overview" },
  { path: "carts", name: "Carts" },
  { path: "outbox", name: "Outbox" },
  ...EVENT_SCREENS.map((screen) => ({ ...screen, class: "of-group" })),
  // Stands for all of these on phones, where tabs lead on.
  { path: "readiness", name: "Events", class: "group", icon: "live", group: EVENT_SCREENS },
  ...STORE_SCREENS.map((screen) => ({ ...screen, class: "of-group" })),
  { path: "settings", name: "Store", class: "group", icon: "settings", group: STORE_SCREENS },
  { path: "system", name: "System" },
];

const ROUTES = [
  { pattern: /^account$/, screen: account, nav: "" },
  { pattern: /^audit$/, screen: audit, nav: "audit" },
  { pattern: /^overview$/, screen: overview, nav: "overview" },
  { pattern: /^carts$/, screen: carts, nav: "carts" },
  { pattern: /^carts\/(?<cartId>.+)$/, screen: cart, nav: "carts" },
  { pattern: /^outbox(?:\/(?<mailId>.+))?$/, screen: outbox, nav: "outbox" },
  { pattern: /^letters(?:\/(?<letterId>.+))?$/, screen: letters, nav: "letters" },
  { pattern: /^flags(?:\/(?<key>.+))?$/, screen: flags, nav: "flags" },
  { pattern: /^keys(?:\/(?<id>.+))?$/, screen: keys, nav: "keys" },
  { pattern: /^live$/, screen: live, nav: "live" },
  { pattern: /^pipeline$/, screen: pipeline, nav: "pipeline" },
  { pattern: /^readiness$/, screen: readiness, nav: "readiness" },
  { pattern: /^routing(?:\/(?<kind>rule|to)\/(?<id>.+))?$/, screen: routing, nav: "routing" },
  { pattern: /^schemas(?:\/(?<name>.+))?$/, screen: schemas, nav: "schemas" },
  { pattern: /^settings$/, screen: settings, nav: "settings" },
  { pattern: /^system$/, screen: system, nav: "system" },
  { pattern: /^team$/, screen: team, nav: "team" },
];

/** Screens in front of the door: links of letters lead to them, whoever is logged in. */
const DOORS = [
  { pattern: /^reset\/(?<token>.+)$/, screen: reset },
  { pattern: /^invitation\/(?<token>.+)$/, screen: invitation },
];

const app = document.getElementById("app");
let stage = null;

/** The screen an address names and what it names in it. */
export function route(hash) {
  const path = hash.replace(/^#\/?/, "") || "overview";
  for (const { pattern, screen, nav } of ROUTES) {
    const found = pattern.exec(path);
    if (found) return { screen, nav, params: decoded(found.groups ?? {}) };
  }
  return { screen: overview, nav: "overview", params: {} };
}

/** What is shown instead of the house: to whoever follows a letter's link, or is not logged in. */
function doorway(hash) {
  const path = hash.replace(/^#\/?/, "");
  for (const { pattern, screen } of DOORS) {
    const found = pattern.exec(path);
    if (found) return (root) => screen(root, decoded(found.groups));
  }
  if (isLoggedIn()) return null;
  return path === "forgotten" ? forgotten : login;
}

const decoded = (groups) =>
  Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, value && decodeURIComponent(value)]));

function drawFrame(current) {
  patch(app, [
    h(
      "div",
      { class: "shell", key: "shell" },
      h("a", { class: "skip", href: "#main", on: { click: skip } }, "Skip to content"),
      h(
        "header",
        { class: "top" },
        h("a", { class: "brand", href: "#/overview" }, mark(), h("span", {}, "Recoup")),
        tools(),
      ),
      h(
        "nav",
        { class: "nav", "aria-label": "Screens" },
        NAV.map(({ path, name, class: kind, icon: sign, group }) =>
          h(
            "a",
            { key: name, href: `#/${path}`, class: kind, "aria-current": isCurrent(path, group, current) ? "page" : null },
            icon(sign ?? path),
            h("span", {}, name),
          ),
        ),
      ),
      h("main", { id: "main", tabindex: -1, mount: () => {} }),
    ),
  ]);
}

const isCurrent = (path, group, current) =>
  group ? group.some((screen) => screen.path === current) : path === current;

function tools() {
  const { me, store } = session();
  const stores = me?.stores ?? [];
  const chosen = theme();
  return h(
    "div",
    { class: "tools" },
    h(
      "label",
      { class: "store" },
      h("span", { class: "unseen" }, "Store"),
      h(
        "select",
        { on: { change: (event) => saveSession({ store: event.target.value }) } },
        stores.map(({ store_id: id, name }) => h("option", { key: id, value: id, selected: id === store }, name || id)),
      ),
    ),
    h(
      "p",
      { class: "who" },
      h("a", { href: "#/account", title: "Your account" }, me?.email ?? ""),
      h("span", { class: "fine" }, role()),
    ),
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        title: `Colours: ${chosen}`,
        "aria-label": `Colours: ${chosen}. Change`,
        on: { click: changeTheme },
      },
      icon(chosen === "system" ? "system_theme" : chosen),
    ),
    h(
      "button",
      { type: "button", class: "icon-button", title: "Log out", "aria-label": "Log out", on: { click: logout } },
      icon("leave"),
    ),
  );
}

function changeTheme() {
  setTheme(nextTheme(theme()));
  drawFrame(route(location.hash).nav);
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** Shows what the address names; on moving between screens, reading goes on at its heading. */
function navigate(event) {
  const before = doorway(location.hash);
  if (before) {
    stage?.clear();
    stage = null;
    before(app);
    return;
  }
  const { screen, nav, params } = route(location.hash);
  drawFrame(nav);
  stage ??= createStage(document.getElementById("main"));
  stage.show(screen, params);
  scrollTo(0, 0);
  if (event?.type === "hashchange") document.querySelector("#main h1")?.focus({ preventScroll: true });
}

addEventListener("hashchange", navigate);
onSession(navigate);
navigate();
