/* Recoup in a shop's page: tells the platform what the shopper does, and shows what it answers. No dependencies.
 *
 *   <script async src="https://recoup.example/sdk/recoup.js" data-key="rk_pub_…"></script>
 *
 * data-url       where Recoup runs, if not where this file comes from
 * data-consent   granted (default) | pending (keeps events in memory, sends nothing) | denied (keeps and sends nothing)
 * data-auto      off: no page_viewed, product_viewed and exit_intent by itself
 * data-messages  off: shows nothing
 * data-currency  of the shop's prices, USD by default
 *
 * identify(user, {email, consent, user_hash}): user_hash is your server's proof of who is signed in; without it messages to
 * that user are not shown here.
 *
 * Calls made before this file is there are kept: window.recoup = window.recoup || []; recoup.push(["track", …]).
 * An event leaves the queue when it is acknowledged and not before; the server knows events it has seen by their id.
 */
(() => {
  "use strict";
  const early = Array.isArray(window.recoup) ? window.recoup : [];
  if (window.recoup && window.recoup.version) return;
  const script = document.currentScript || document.querySelector("script[data-key]");
  const settings = script ? script.dataset : {};
  if (!settings.key) return console.warn("recoup: the script tag has no data-key");

  const KEY = settings.key;
  const URL_BASE = (settings.url || new URL(script.src, location.href).origin).replace(/\/+$/, "");
  const MOST_KEPT = 500; // events that wait for a connection; the oldest go first
  const FRAME = 100; // events in one frame
  const ROOM = 4; // frames sent and not yet acknowledged
  const LINGER = 800; // ms an event waits for company
  const KEEPALIVE_BYTES = 60000; // browsers refuse more once the page is gone
  const SESSION_IDLE = 30 * 60 * 1000;
  const uuid = () =>
    crypto.randomUUID
      ? crypto.randomUUID()
      : "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) =>
          (+c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+c / 4)))).toString(16));

  /* ---- what is remembered: in the browser with consent, else for this page only ---- */

  let consent = settings.consent || "granted";
  const memory = {}; // what could not be stored, or must not be
  const remember = (name, value) => {
    memory[name] = value;
    if (consent !== "granted") return;
    try {
      if (value === null) localStorage.removeItem("recoup." + name);
      else localStorage.setItem("recoup." + name, JSON.stringify(value));
      delete memory[name]; // other tabs change it too
    } catch { /* full or forbidden: memory has it */ }
  };
  const recall = (name) => {
    if (name in memory || consent !== "granted") return memory[name] ?? null;
    try {
      return JSON.parse(localStorage.getItem("recoup." + name));
    } catch {
      return null;
    }
  };
  const forget = () => {
    for (const name of ["id", "user", "proof", "cart", "session", "queue"]) {
      delete memory[name];
      try { localStorage.removeItem("recoup." + name); } catch { /* nothing was kept */ }
    }
  };
  const own = (name) => recall(name) || (remember(name, uuid()), recall(name));
  const session = () => {
    const now = Date.now();
    const last = recall("session");
    const id = last && now - last.at < SESSION_IDLE ? last.id : uuid();
    remember("session", { id, at: now });
    return id;
  };

  /* ---- events ---- */

  const WITH_CART = /^(product_added|product_removed|cart_|checkout_|payment_|coupon_|order_completed|exit_intent)/;
  const SAYS_WHO = /^(user_identified|consent_updated|order_completed)$/; // what changes what is known of a user
  const context = () => {
    const query = new URLSearchParams(location.search);
    const found = {
      page_url: location.href.slice(0, 4096),
      referrer: document.referrer.slice(0, 4096),
      user_agent: navigator.userAgent,
      locale: navigator.language,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      device_type: matchMedia("(pointer: coarse)").matches ? (innerWidth < 700 ? "mobile" : "tablet") : "desktop",
    };
    for (const name of ["source", "medium", "campaign", "term", "content"])
      if (query.get("utm_" + name)) found["utm_" + name] = query.get("utm_" + name).slice(0, 512);
    for (const name in found) if (!found[name]) delete found[name];
    return found;
  };

  function track(type, fields = {}) {
    if (consent === "denied") return null;
    const event = {
      event_id: uuid(),
      type,
      occurred_at: new Date().toISOString(),
      anonymous_id: own("id"),
      session_id: session(),
      context: context(),
      ...fields,
    };
    const user = recall("user");
    if (user && !event.user_id) event.user_id = user;
    if ((type === "product_added" || type === "cart_updated") && !event.cart_id) event.cart_id = own("cart");
    if (WITH_CART.test(type) && !event.cart_id && recall("cart")) event.cart_id = recall("cart");
    if ((event.items || event.amount != null) && !event.currency) event.currency = settings.currency || "USD";
    if (SAYS_WHO.test(type) && event.user_id === user && recall("proof")) event.user_hash = recall("proof");
    if (type === "order_completed") remember("cart", null);
    queue.push(event);
    if (queue.length > MOST_KEPT) queue.splice(0, queue.length - MOST_KEPT);
    plan();
    return event.event_id;
  }

  function identify(user, about = {}) {
    const { email, consent: marketing, user_hash, ...more } = about;
    const properties = { ...more };
    if (email) properties.email = email;
    if (marketing !== undefined) properties.consent = marketing;
    remember("user", String(user));
    remember("proof", user_hash || null);
    const id = track("user_identified", { properties });
    inbox.open();
    return id;
  }

  /* ---- the way out: a socket, else requests; nothing is dropped before it is acknowledged ---- */

  const queue = []; // not yet sent
  const flying = new Map(); // frames sent and not yet acknowledged, by their id
  const SESSION = uuid(); // of this page, for the socket
  let socket = null;
  let room = 0; // frames the socket may have in flight; none before it has said hello
  let heartbeat = 20000;
  let lastAck = "";
  let heardAt = 0;
  let pulse = 0;
  let failures = 0; // in a row
  let restUntil = 0; // while sockets do not get through
  let timer = 0;
  let keeping = 0;

  const waiting = () => [...[...flying.values()].flat(), ...queue];
  const keep = () => {
    keeping = 0;
    remember("queue", waiting().slice(-MOST_KEPT));
  };
  const plan = (delay = LINGER) => {
    if (consent !== "granted") return;
    if (!keeping) keeping = setTimeout(keep, 250);
    if (!timer) timer = setTimeout(flush, queue.length >= FRAME ? 0 : delay);
  };
  const later = () => Math.min(30000, 500 * 2 ** failures) * (0.7 + 0.6 * Math.random());

  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (consent !== "granted" || !(queue.length || flying.size)) return;
    if (Date.now() < restUntil || !window.WebSocket) return void post();
    if (!socket) return connect();
    if (socket.readyState !== 1) return;
    while (queue.length && flying.size < room) frame(uuid(), queue.splice(0, FRAME));
  }
  const stamped = (events) => {
    const sent_at = new Date().toISOString();
    return events.map((event) => ({ ...event, sent_at }));
  };
  const frame = (id, events) => {
    flying.set(id, events);
    socket.send(JSON.stringify({ id, events: stamped(events) }));
  };

  function connect() {
    const opening = (socket = new WebSocket(`${URL_BASE.replace(/^http/, "ws")}/api/events/stream?key=${encodeURIComponent(KEY)}`));
    const say = (message) => opening.readyState === 1 && opening.send(JSON.stringify(message));
    opening.onopen = () => {
      heardAt = Date.now();
      say({ type: "hello", session: SESSION, last: lastAck });
    };
    opening.onmessage = ({ data }) => {
      if (socket !== opening) return;
      heardAt = Date.now();
      const message = JSON.parse(data);
      if (message.type === "ack") settle(message);
      else if (message.type === "ping") say({ type: "pong" });
      else if (message.type === "hello") welcome(message);
      else if (message.type === "pause") room = 0;
      else if (message.type === "resume") (room = ROOM), flush();
    };
    opening.onclose = () => lost(opening);
    // A line that broke without a word: the server would have been heard within two heartbeats.
    clearInterval(pulse);
    heardAt = Date.now();
    pulse = setInterval(() => {
      if (Date.now() - heardAt < 2.5 * heartbeat) return;
      opening.close();
      lost(opening);
    }, heartbeat / 2);
  }
  function lost(closed) {
    if (socket !== closed) return;
    clearInterval(pulse);
    socket = null;
    room = 0;
    failures += 1;
    if (failures > 1) {
      restUntil = Date.now() + 30000;
      land();
    }
    if (queue.length || flying.size) plan(later());
  }
  /* What is durable need not be sent again; the rest goes under its old name, so that next time this is known of it. */
  function welcome(hello) {
    failures = 0;
    heartbeat = hello.heartbeat_seconds * 1000;
    room = Math.min(ROOM, hello.max_unacknowledged);
    for (const id of hello.durable) if (flying.delete(id)) lastAck = id;
    for (const [id, events] of flying) frame(id, events);
    flush();
    plan();
  }
  const land = () => {
    for (const events of flying.values()) queue.unshift(...events);
    flying.clear();
  };

  function settle(ack) {
    if (ack.type !== "ack" || !flying.has(ack.id)) return;
    const events = flying.get(ack.id);
    flying.delete(ack.id);
    lastAck = ack.problem ? lastAck : ack.id;
    if (ack.problem && (ack.problem.status === 429 || ack.problem.status >= 500)) {
      queue.unshift(...events);
      failures += 1;
      plan(Math.max(later(), 1000 * (ack.retry_after || 0)));
    } else {
      failures = 0;
      const wrong = ack.problem ? [ack.problem] : ack.results.filter((result) => result.status === "refused");
      if (wrong.length) console.warn("recoup: refused", wrong);
    }
    plan();
  }

  async function post() {
    if (flying.size || !queue.length) return;
    const id = uuid();
    flying.set(id, queue.splice(0, FRAME));
    let ack = { type: "ack", id, results: [], problem: { status: 503 } };
    try {
      const answer = await call("/api/events/batch", stamped(flying.get(id)));
      ack = answer.ok ? { ...ack, problem: null } : { ...ack, problem: { status: answer.status } };
    } catch { /* offline: it stays in the queue */ }
    settle(ack);
  }
  const call = (path, body, more = {}) =>
    fetch(URL_BASE + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Api-Key": KEY },
      body: JSON.stringify(body),
      credentials: "omit",
      ...more,
    });

  /* The page goes: whatever is not acknowledged leaves once more by itself, and stays kept in case that fails too. */
  const gone = new WeakSet();
  function leave() {
    if (consent !== "granted") return;
    keep();
    const events = waiting().filter((event) => !gone.has(event));
    while (events.length) {
      const part = events.splice(0, 40);
      while (part.length > 1 && JSON.stringify(part).length > KEEPALIVE_BYTES) events.unshift(part.pop());
      part.forEach((event) => gone.add(event));
      call("/api/events/batch", stamped(part), { keepalive: true }).then(({ ok }) => ok && arrived(part)).catch(() => {});
    }
  }
  function arrived(events) {
    const ids = new Set(events.map((event) => event.event_id));
    const others = (list) => list.filter((event) => !ids.has(event.event_id));
    queue.splice(0, queue.length, ...others(queue));
    for (const [id, list] of flying) others(list).length ? flying.set(id, others(list)) : flying.delete(id);
    keep();
  }

  /* ---- messages to the shopper ---- */

  const inbox = {
    socket: null,
    failures: 0,
    seen: [],
    open() {
      if (settings.messages === "off" || consent !== "granted" || !window.WebSocket) return;
      // A user's messages are only for pages whose shop vouches for the user; without its word this is the visitor.
      const proof = recall("proof");
      const who = proof ? recall("user") : own("id");
      const proven = proof ? `&user_hash=${encodeURIComponent(proof)}&anonymous_id=${encodeURIComponent(own("id"))}` : "";
      if (this.socket && this.who === who + proven) return;
      const old = this.socket;
      const last = this.seen.length ? `&after=${encodeURIComponent(this.seen[this.seen.length - 1])}` : "";
      const opening = new WebSocket(
        `${URL_BASE.replace(/^http/, "ws")}/api/ws/user/${encodeURIComponent(who)}?key=${encodeURIComponent(KEY)}${proven}${last}`);
      this.socket = opening;
      this.who = who + proven;
      if (old) old.close();
      opening.onopen = () => (this.failures = 0);
      opening.onmessage = ({ data }) => this.take(JSON.parse(data), opening);
      opening.onclose = () => {
        if (this.socket !== opening) return;
        this.socket = null;
        this.failures += 1;
        setTimeout(() => this.open(), Math.min(60000, 1000 * 2 ** this.failures));
      };
    },
    take(message, from) {
      if (message.message_id) from.send(JSON.stringify({ type: "ack", message_id: message.message_id }));
      if (message.type !== "intervention" || this.seen.includes(message.message_id)) return;
      this.seen = [...this.seen.slice(-49), message.message_id];
      show(message.payload);
    },
    close() {
      const old = this.socket;
      this.socket = null;
      if (old) old.close();
    },
  };

  const report = (payload, kind) =>
    call(`/api/track/${encodeURIComponent(payload.intervention_id)}`, { kind }, { keepalive: true }).catch(() => {});

  const CSS = `
    :host{all:initial}*{box-sizing:border-box}
    .box{--a:#14594a;--t:#fff;--b:#fff;--c:#1f2a2e;position:fixed;z-index:2147483000;background:var(--b);color:var(--c);
      font:16px/1.45 system-ui,sans-serif;box-shadow:0 12px 48px #0005;display:flex;gap:10px 24px;animation:in .25s ease-out}
    .bar{left:50%;bottom:16px;transform:translateX(-50%);width:min(760px,calc(100vw - 32px));border-radius:14px;
      padding:16px 52px 16px 22px;align-items:center;flex-wrap:wrap}
    .modal{inset:0;margin:auto;width:min(440px,calc(100vw - 32px));height:fit-content;border-radius:18px;padding:34px 30px 28px;
      flex-direction:column}
    .veil{position:fixed;inset:0;background:#0008;z-index:2147482999}
    .words{flex:1 1 260px}h2{font-size:1.1em;margin:0 0 2px}.modal h2{font-size:1.5em;line-height:1.25;padding-right:20px}p{margin:0}
    .go{background:var(--a);color:var(--t);border:0;border-radius:10px;padding:12px 22px;font:inherit;font-weight:600;
      text-decoration:none;text-align:center;cursor:pointer}
    .x{position:absolute;top:8px;right:8px;width:40px;height:40px;border:0;border-radius:50%;background:none;color:inherit;
      font:24px/1 system-ui;cursor:pointer}
    .go:focus-visible,.x:focus-visible{outline:3px solid var(--a);outline-offset:2px}
    @keyframes in{from{opacity:0}}@media(prefers-reduced-motion:reduce){.box{animation:none}}
    @media(prefers-color-scheme:dark){.box{--a:#4fbfa3;--t:#0c1a17;--b:#1f2628;--c:#eef1ef}}`;
  const make = (tag, attributes, text) => {
    const element = document.createElement(tag);
    for (const name in attributes) element.setAttribute(name, attributes[name]);
    if (text) element.textContent = text;
    return element;
  };
  const safe = (url) => {
    try {
      return /^https?:$/.test(new URL(url, location.href).protocol) ? url : null;
    } catch {
      return null;
    }
  };

  let shown = null; // one message at a time; the next one takes its place
  function show(payload) {
    if (shown) shown.remove();
    const modal = payload.layout === "modal";
    const host = (shown = make("div", { "data-recoup": "message" }));
    const root = host.attachShadow({ mode: "open" });
    const before = document.activeElement;
    const role = modal ? { role: "dialog", "aria-modal": "true" } : { role: "region" };
    const box = make("div", { class: `box ${modal ? "modal" : "bar"}`, "aria-labelledby": "t", tabindex: "-1", ...role });
    for (const [name, property] of [["accent", "--a"], ["background", "--b"], ["color", "--c"], ["accent_text", "--t"]]) {
      const value = payload.style && payload.style[name];
      if (value && window.CSS && window.CSS.supports("color", value)) box.style.setProperty(property, value);
    }
    const words = make("div", { class: "words", "aria-live": "polite" });
    const style = new CSSStyleSheet(); // a shop's content security policy may forbid style elements
    style.replaceSync(CSS);
    root.adoptedStyleSheets = [style];
    words.append(make("h2", { id: "t" }, payload.title || ""), make("p", {}, payload.body || ""));
    const x = make("button", { class: "x", type: "button", "aria-label": "Dismiss" }, "×");
    const url = safe(payload.url || "");
    const go = payload.button && url ? make("a", { class: "go", href: url }, payload.button) : null;
    box.append(words, ...(go ? [go] : []), x);
    root.append(...(modal ? [make("div", { class: "veil" })] : []), box);
    const close = () => {
      host.remove();
      document.removeEventListener("keydown", keys, true);
      if (shown === host) shown = null;
      if (modal && before && before.focus) before.focus();
    };
    const dismiss = () => (report(payload, "dismissed"), close());
    const keys = (event) => {
      if (event.key === "Escape") dismiss();
      if (event.key !== "Tab" || !modal) return;
      const stops = [go, x].filter(Boolean);
      event.preventDefault();
      const at = stops.indexOf(root.activeElement);
      stops[(at + (event.shiftKey ? stops.length - 1 : 1) + (at < 0 && event.shiftKey ? 1 : 0)) % stops.length].focus();
    };
    x.onclick = dismiss;
    if (modal) root.querySelector(".veil").onclick = dismiss;
    if (go) go.onclick = () => (report(payload, "clicked"), close());
    document.addEventListener("keydown", keys, true);
    document.body.append(host);
    if (modal) box.focus();
    const tell = () => document.visibilityState === "visible" && (report(payload, "seen"), document.removeEventListener("visibilitychange", tell));
    if (document.visibilityState === "visible") report(payload, "seen");
    else document.addEventListener("visibilitychange", tell);
  }

  /* ---- by itself ---- */

  const digits = (currency) =>
    new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  function page() {
    track("page_viewed", { properties: { title: document.title.slice(0, 200) } });
    for (const node of document.querySelectorAll('script[type="application/ld+json"]')) {
      try {
        const product = JSON.parse(node.textContent);
        if (product["@type"] !== "Product" || !(product.sku || product.productID)) continue;
        const offer = [].concat(product.offers || {})[0];
        const currency = offer.priceCurrency || settings.currency || "USD";
        const item = { product_id: String(product.sku || product.productID), name: product.name };
        if (offer.price) item.price = Math.round(offer.price * 10 ** digits(currency));
        track("product_viewed", { items: [item], currency });
      } catch { /* not ours to mend */ }
    }
  }
  function watch() {
    page();
    let here = location.href;
    const moved = () => {
      if (location.href === here) return;
      here = location.href;
      left = false;
      page();
    };
    for (const name of ["pushState", "replaceState"]) {
      const original = history[name];
      history[name] = function (...args) {
        original.apply(this, args);
        moved();
      };
    }
    addEventListener("popstate", moved);
    let left = false;
    document.addEventListener("mouseout", (event) => {
      if (left || event.relatedTarget || event.clientY > 0) return;
      left = true;
      track("exit_intent");
    });
  }

  function setConsent(mode) {
    consent = mode;
    if (mode === "granted") {
      for (const name in memory) remember(name, memory[name]);
      inbox.open();
      plan();
    } else {
      inbox.close();
      if (mode === "pending") return;
      queue.length = 0;
      flying.clear();
      forget();
    }
  }

  const api = {
    version: "1",
    track,
    identify,
    cart: (items, more = {}) => track("cart_updated", { items, ...more }),
    page,
    consent: setConsent,
    reset: () => (forget(), inbox.close(), inbox.open()),
    flush,
    ids: () => ({ anonymous_id: own("id"), user_id: recall("user"), cart_id: recall("cart"), session_id: session() }),
    push: ([name, ...args]) => api[name](...args),
  };
  window.recoup = api;
  queue.push(...(recall("queue") || []));
  early.forEach(api.push);
  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
  addEventListener("online", () => ((failures = 0), (restUntil = 0), flush()));
  if (settings.auto !== "off") watch();
  inbox.open();
  plan();
})();
