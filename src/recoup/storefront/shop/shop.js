/* The demo shop: four views behind the address's fragment, a cart in this browser, and every act told to Recoup.
 *
 * The publishable key comes from ?key=, from an earlier visit, or from /shop/config.json. On a store that runs on event
 * time "Let 35 minutes pass" sends a clock event, and from then on this page lives that much later.
 */

import { drawing } from "/shop/art.js";

const CURRENCY = "USD";
const WAIT_MINUTES = 35;
const main = document.querySelector("#main");
const note = document.querySelector("#note");
const kept = {
  read: (name, otherwise) => JSON.parse(localStorage.getItem(`shop.${name}`)) ?? otherwise,
  write: (name, value) => localStorage.setItem(`shop.${name}`, JSON.stringify(value)),
};
const money = (minor) => new Intl.NumberFormat("en-US", { style: "currency", currency: CURRENCY }).format(minor / 100);

const products = await (await fetch("/shop/products.json")).json();
const byId = Object.fromEntries(products.map((product) => [product.product_id, product]));
let cart = kept.read("cart", {}); // product id → quantity

/* ---- Recoup ---- */

const key = await findKey();
const recoup = key ? await loadScript(key) : null;
if (!recoup) note.textContent = "No key: open this page with ?key=rk_pub_… to connect it to a store.";

async function findKey() {
  const given = new URLSearchParams(location.search).get("key");
  if (given) kept.write("key", given);
  const answer = await fetch("/shop/config.json").catch(() => null);
  const served = answer?.ok ? (await answer.json()).publishable_key : null;
  return given || served || kept.read("key", null);
}

function loadScript(publishable) {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    Object.assign(script.dataset, { key: publishable, currency: CURRENCY });
    script.src = "/sdk/recoup.js";
    script.onload = () => resolve(window.recoup);
    script.onerror = () => resolve(null);
    document.head.append(script);
  });
}

const item = (id, quantity = 1) => {
  const { product_id, name, category, price } = byId[id];
  return { product_id, name, category, brand: "Tern & Tallow", price, quantity };
};
const items = () => Object.entries(cart).map(([id, quantity]) => item(id, quantity));
const total = () => items().reduce((sum, line) => sum + line.price * line.quantity, 0);

/** Tells Recoup; after waiting, at the time it is by then. */
function tell(type, fields = {}) {
  const ahead = kept.read("ahead", 0);
  if (ahead) fields.occurred_at = new Date(Date.now() + ahead).toISOString();
  recoup?.track(type, fields);
}

/* ---- the cart ---- */

function put(id, quantity) {
  const before = cart[id] ?? 0;
  cart = { ...cart, [id]: quantity };
  if (!quantity) delete cart[id];
  kept.write("cart", cart);
  const change = quantity - before;
  if (change) tell(change > 0 ? "product_added" : "product_removed", { items: [item(id, Math.abs(change))] });
  count();
}
const count = () => {
  const pieces = Object.values(cart).reduce((sum, quantity) => sum + quantity, 0);
  const badge = document.querySelector("#count");
  badge.textContent = pieces;
  badge.setAttribute("aria-label", `${pieces} items`);
};

/* ---- views ---- */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    name.startsWith("on") ? element.addEventListener(name.slice(2), value) : element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const views = {
  "": () => {
    tell("product_list_viewed", { items: products.map(({ product_id }) => item(product_id)) });
    const cards = products.map((product) =>
      make("li", { class: "card" },
        make("a", { href: `#/p/${product.product_id}` },
          drawing(product), make("h3", {}, product.name), make("p", {}, money(product.price)))));
    return [
      make("div", { class: "hero" },
        make("h1", {}, "Plain things, made to be kept."),
        make("p", {}, "Eight of them, to be exact. Put something into the cart, wander off, and see what happens.")),
      make("ul", { class: "grid" }, ...cards),
    ];
  },
  p: (id) => {
    const product = byId[id];
    if (!product) return views[""]();
    tell("product_viewed", { items: [item(id)] });
    const said = make("p", { class: "said", role: "status" });
    const add = () => {
      put(id, (cart[id] ?? 0) + 1);
      said.textContent = "It is in your cart.";
    };
    return [
      make("div", { class: "product" },
        drawing(product),
        make("div", {},
          make("h1", {}, product.name),
          make("p", { class: "price" }, money(product.price)),
          make("p", { class: "line" }, product.line),
          make("button", { type: "button", id: "add", onclick: add }, "Add to cart"),
          said)),
    ];
  },
  cart: () => {
    tell("cart_viewed", { items: items() });
    if (!items().length) return [nothing()];
    return [
      make("section", { class: "panel" },
        make("h1", {}, "Your cart"),
        make("ul", { class: "lines" }, ...Object.keys(cart).map(line)),
        make("p", { class: "total" }, make("span", {}, "Total"), make("span", {}, money(total()))),
        make("div", { class: "row" },
          make("a", { class: "button quiet", href: "#/" }, "Look around"),
          make("a", { class: "button", href: "#/checkout" }, "Check out"))),
    ];
  },
  checkout: () => {
    if (!items().length) return [nothing()];
    tell("checkout_started", { items: items(), amount: total() });
    const known = kept.read("email", "");
    const form = make("form", { class: "panel", onsubmit: pay },
      make("h1", {}, "Check out"),
      make("label", {}, "E-mail ", make("input", { name: "email", type: "email", required: "", autocomplete: "email", value: known })),
      make("label", {}, "Name ", make("input", { name: "name", autocomplete: "name", value: "A. Shopper" })),
      make("div", { class: "two" },
        make("label", {}, "Street ", make("input", { name: "street", autocomplete: "street-address", value: "1 Harbour Row" })),
        make("label", {}, "City ", make("input", { name: "city", autocomplete: "address-level2", value: "Port Tern" }))),
      make("p", { class: "total" }, make("span", {}, "Total"), make("span", {}, money(total()))),
      make("div", { class: "row" },
        make("a", { class: "button quiet", href: "#/cart" }, "Back"), make("button", {}, "Pay, so to speak")));
    return [form];
  },
  thanks: () => [
    make("section", { class: "panel" },
      make("h1", {}, "Thank you."),
      make("p", {}, "Your order is on its way, in the manner of demo orders."),
      make("a", { class: "button", href: "#/" }, "Back to the shop")),
  ],
};

const nothing = () =>
  make("section", { class: "panel" },
    make("h1", {}, "Your cart is empty"), make("a", { class: "button", href: "#/" }, "Look around"));

function line(id) {
  const product = byId[id];
  const remove = () => (put(id, 0), show());
  return make("li", {},
    drawing(product),
    make("b", {}, cart[id] > 1 ? `${product.name} × ${cart[id]}` : product.name),
    make("span", {}, money(product.price * cart[id])),
    make("button", { class: "link", type: "button", onclick: remove, "aria-label": `Remove ${product.name}` }, "Remove"));
}

async function pay(event) {
  event.preventDefault();
  await signIn(event.target.email.value, null);
  tell("checkout_step_completed", { properties: { step: "address" } });
  tell("payment_info_entered");
  tell("order_completed", { items: items(), amount: total(), order_id: `web-${crypto.randomUUID?.() ?? Date.now()}` });
  cart = {};
  kept.write("cart", cart);
  count();
  location.hash = "#/thanks";
}

function show() {
  const [, name = "", ...rest] = location.hash.split("/");
  main.replaceChildren(...(views[name] ?? views[""])(...rest));
  const heading = main.querySelector("h1");
  document.title = name ? `${heading.textContent} · Tern & Tallow` : "Tern & Tallow";
  who();
}

/* ---- who is shopping, and backstage ---- */

async function signIn(email, consent) {
  if (!email || (email === kept.read("email", "") && consent === null)) return;
  kept.write("email", email);
  const user = `web-${email}`.slice(0, 128);
  // A real shop's server would put this into the page of whoever has signed in.
  const answer = await fetch(`/shop/user-hash.json?user_id=${encodeURIComponent(user)}`).catch(() => null);
  const { user_hash } = answer?.ok ? await answer.json() : {};
  recoup?.identify(user, { email, user_hash, ...(consent === null ? {} : { consent }) });
  who();
}

function who() {
  const email = kept.read("email", "");
  document.querySelector("#sign-in").textContent = email || "Sign in";
  if (!recoup) return;
  const ids = recoup.ids();
  const ahead = Math.round(kept.read("ahead", 0) / 60000);
  document.querySelector("#who").textContent =
    `You are ${ids.user_id ?? ids.anonymous_id}` + (ids.cart_id ? `, cart ${ids.cart_id}` : "") + (ahead ? `, ${ahead} min ahead` : "");
}

async function letTimePass() {
  recoup.flush();
  await new Promise((done) => setTimeout(done, 500)); // what was done before must be there before time moves on
  const ahead = kept.read("ahead", 0) + WAIT_MINUTES * 60000;
  const answer = await fetch("/api/events", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Api-Key": key },
    body: JSON.stringify({
      event_id: crypto.randomUUID(),
      type: "clock",
      occurred_at: new Date(Date.now() + ahead).toISOString(),
      session_id: "clock",
    }),
  });
  if (answer.ok) kept.write("ahead", ahead);
  note.textContent = answer.ok
    ? `It is ${WAIT_MINUTES} minutes later. What you left in the cart is an abandoned cart now.`
    : "This store goes by the clock on the wall: wait half an hour instead.";
  who();
}

const dialog = document.querySelector("#who-dialog");
document.querySelector("#sign-in").addEventListener("click", () => dialog.showModal());
dialog.addEventListener("close", () => {
  const { email, consent } = dialog.querySelector("form").elements;
  if (dialog.returnValue === "ok") signIn(email.value, consent.checked);
});
document.querySelector("#wait").addEventListener("click", letTimePass);
document.querySelector("#stranger").addEventListener("click", () => {
  for (const name of ["cart", "email"]) localStorage.removeItem(`shop.${name}`);
  recoup?.reset();
  location.hash = "#/";
  location.reload();
});
addEventListener("hashchange", () => (show(), main.focus(), scrollTo(0, 0)));
// A message's link names the cart it is about.
if (new URLSearchParams(location.search).has("cart") && !location.hash) history.replaceState(null, "", "#/cart");
// The page's own buttons were waiting for somebody who hears them.
for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
count();
show();
