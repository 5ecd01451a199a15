// Who is logged in and which store is looked at: kept for this browser tab, told to whoever listens.

const KEY = "recoup.session";
const EMPTY = { access: null, refresh: null, until: 0, me: null, store: null, notice: "" };

let current = { ...EMPTY, ...JSON.parse(sessionStorage.getItem(KEY) ?? "{}") };
const listeners = new Set();

export const session = () => current;

export const isLoggedIn = () => Boolean(current.access && current.me);

/** Calls `listener` when somebody logs in or out or another store is chosen. */
export const onSession = (listener) => listeners.add(listener);

export function saveSession(changes) {
  const before = current;
  current = { ...current, ...changes, notice: "" };
  const stores = current.me?.stores ?? [];
  if (current.me && !stores.some((store) => store.store_id === current.store))
    current.store = stores[0]?.store_id ?? null;
  sessionStorage.setItem(KEY, JSON.stringify(current));
  if (before.me !== current.me || before.store !== current.store) listeners.forEach((listener) => listener());
}

export function clearSession(notice = "") {
  current = { ...EMPTY, notice };
  sessionStorage.removeItem(KEY);
  listeners.forEach((listener) => listener());
}

const membership = () => current.me?.stores.find((store) => store.store_id === current.store);

/** Whether the one who is logged in may do something in the store that is chosen. */
export const may = (permission) => membership()?.permissions?.includes(permission) ?? false;

export const role = () => membership()?.role ?? "";
