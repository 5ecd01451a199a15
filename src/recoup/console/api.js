// Requests to the public API. An answer that is a problem document becomes a `Problem` error with its words.

import { clearSession, session, saveSession } from "./session.js";

const EARLY = 30_000; // milliseconds before its end at which an access token is renewed

/** What went wrong, as the API says it (RFC 9457), or that nothing answered. */
export class Problem extends Error {
  constructor({ status, title, detail, code, trace_id: trace, problems }) {
    super(detail || title || "The request failed.");
    this.status = status;
    this.title = title;
    this.code = code;
    this.trace = trace;
    this.fields = problems ?? [];
  }
}

const UNREACHABLE = {
  status: 0,
  title: "No answer",
  detail: "Recoup does not answer. Is it running, and are you online?",
};

let renewing = null;

/** GET from the store that is chosen. */
export const read = (path, params = {}, signal = undefined) => call("GET", path, { params, signal });

/** POST to the store that is chosen; with a version, only on top of that. */
export const send = (path, body = undefined, params = {}, version = undefined) => call("POST", path, { params, body, version });

/** PUT in the store that is chosen: what is there becomes this; with a version, only on top of that, 0 for none. */
export const replace = (path, body, version = undefined) => call("PUT", path, { body, version });

/** PATCH in the store that is chosen: what is named changes. */
export const change = (path, body) => call("PATCH", path, { body });

/** DELETE in the store that is chosen; with a version, only on top of that. */
export const remove = (path, version = undefined) => call("DELETE", path, { version });

/** POST by whoever stands before the door. */
export const knock = (path, body) => request("POST", `/api${path}`, { body });

/** GET of a file, handed to the browser to be kept. */
export async function download(path, params, name) {
  const query = new URLSearchParams({ store_id: session().store ?? "" });
  for (const [key, value] of Object.entries(params)) if (value !== null) query.set(key, value);
  const headers = { authorization: `Bearer ${await accessToken()}` };
  const answer = await fetch(`/api${path}?${query}`, { headers, cache: "no-store" });
  if (!answer.ok) throw new Problem({ ...(await answer.json().catch(() => ({}))), status: answer.status });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export async function login(email, password, code = undefined) {
  keep(await knock("/auth/login", { email, password, code }));
  const me = await call("GET", "/auth/me");
  saveSession({ me });
  return me;
}

export async function logout() {
  const { access, refresh } = session();
  clearSession();
  try {
    await request("POST", "/api/auth/logout", { token: access, body: { refresh_token: refresh } });
  } catch {
    // The tokens are forgotten here in any case, and end by themselves there.
  }
}

async function call(method, path, { params = {}, body, signal, version } = {}) {
  const query = new URLSearchParams();
  const { store } = session();
  if (store && !path.startsWith("/auth/")) query.set("store_id", store);
  for (const [name, value] of Object.entries(params)) if (value !== null && value !== undefined) query.set(name, value);
  const address = `/api${path}${query.size ? `?${query}` : ""}`;
  try {
    return await request(method, address, { token: await accessToken(), body, signal, version });
  } catch (error) {
    if (error.status !== 401) throw error;
    return await request(method, address, { token: await renewed(), body, signal, version });
  }
}

async function request(method, address, { token: bearer, body, signal, version } = {}) {
  const headers = { accept: "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  if (version !== undefined) headers["if-match"] = `"${version}"`;
  let answer;
  try {
    answer = await fetch(address, {
      method,
      headers,
      signal,
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(UNREACHABLE);
  }
  const document = await answer.json().catch(() => ({}));
  if (answer.ok) return document;
  throw new Problem({ title: answer.statusText, ...document, status: answer.status });
}

/** The token in force, renewed where it is about to end. */
export async function accessToken() {
  const { access, until } = session();
  return access && until - Date.now() < EARLY ? renewed() : access;
}

/** One renewal at a time; when it is refused, the session is over and the login screen shows. */
function renewed() {
  renewing ??= renew().finally(() => {
    renewing = null;
  });
  return renewing;
}

async function renew() {
  const { refresh } = session();
  try {
    if (!refresh) throw new Problem({ status: 401, title: "Not logged in" });
    keep(await request("POST", "/api/auth/refresh", { body: { refresh_token: refresh } }));
    return session().access;
  } catch (error) {
    if (error.status === 0) throw error;
    clearSession("Your session has ended. Log in again to go on.");
    throw error;
  }
}

function keep({ access_token: access, refresh_token: refresh, expires_in: seconds }) {
  saveSession({ access, refresh: refresh ?? session().refresh, until: Date.now() + (seconds ?? 300) * 1000 });
}
