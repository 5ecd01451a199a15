// Money, figures and times as text. Pure: the language is English, the customs (dates, digits) the reader's where English.

const LOCALE = (globalThis.navigator?.languages ?? []).find((tag) => tag.startsWith("en")) ?? "en";
const NOTHING = "–";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

/** Digits after the point that a currency has: 2 for USD, 0 for JPY, 3 for KWD. */
export function minorDigits(currency) {
  return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
}

/** Minor units as money: money(1999, "USD") is "$19.99". */
export function money(minor, currency, { sign = false, whole = false } = {}) {
  if (!known(minor) || !currency) return NOTHING;
  const digits = minorDigits(currency);
  const options = { style: "currency", currency, signDisplay: sign ? "exceptZero" : "auto" };
  if (whole) Object.assign(options, { minimumFractionDigits: 0, maximumFractionDigits: 0 });
  return new Intl.NumberFormat(LOCALE, options).format(minor / 10 ** digits);
}

export const isBig = (minor, currency) => Math.abs(minor) >= 1000 * 10 ** minorDigits(currency);

/** Money as a headline or axis shows it: no cents from a thousand on. */
export function bigMoney(minor, currency, options = {}) {
  if (!known(minor) || !currency) return NOTHING;
  return money(minor, currency, { ...options, whole: isBig(minor, currency) });
}

/** Money with few digits, for axes and narrow columns: $12.3K. */
export function shortMoney(minor, currency) {
  if (!known(minor) || !currency) return NOTHING;
  const options = {
    style: "currency",
    currency,
    notation: "compact",
    maximumFractionDigits: 1,
    minimumFractionDigits: 0,
  };
  return new Intl.NumberFormat(LOCALE, options).format(minor / 10 ** minorDigits(currency));
}

export const count = (value) => (known(value) ? new Intl.NumberFormat(LOCALE).format(value) : NOTHING);

export const figure = (value, digits = 1) =>
  known(value) ? new Intl.NumberFormat(LOCALE, { maximumFractionDigits: digits }).format(value) : NOTHING;

export const percent = (share, digits = 0) =>
  known(share)
    ? new Intl.NumberFormat(LOCALE, {
        style: "percent",
        maximumFractionDigits: digits,
        minimumFractionDigits: digits,
      }).format(share)
    : NOTHING;

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

const bytesOf = (value, unit, digits) =>
  new Intl.NumberFormat(LOCALE, { style: "unit", unit, maximumFractionDigits: digits }).format(value);

export function bytes(value) {
  if (!known(value)) return NOTHING;
  if (value >= 1e9) return bytesOf(value / 1e9, "gigabyte", 1);
  if (value >= 1e6) return bytesOf(value / 1e6, "megabyte", 0);
  if (value < 1e3) return `${count(value)} B`;
  return bytesOf(value / 1e3, "kilobyte", 0);
}

/** A length of time in its largest fitting unit: "45 s", "12 min", "3 h", "2 d". */
export function duration(milliseconds) {
  if (!known(milliseconds)) return NOTHING;
  if (milliseconds < 1) return `${figure(milliseconds, 2)} ms`;
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < MINUTE) return `${Math.round(milliseconds / 1000)} s`;
  if (milliseconds < HOUR) return `${Math.round(milliseconds / MINUTE)} min`;
  if (milliseconds < 2 * DAY) return `${Math.round(milliseconds / HOUR)} h`;
  return `${Math.round(milliseconds / DAY)} d`;
}

/** Milliseconds since 1970 of what an API may write as text or number; null where there is nothing. */
export function moment(value) {
  if (!known(value) || value === "") return null;
  if (typeof value === "number") return value;
  const parsed = Date.parse(value);
  return Number.isNaN(parsed) ? null : parsed;
}

const dateFormat = (options) => new Intl.DateTimeFormat(LOCALE, options);
const withMoment = (value, options) => (moment(value) === null ? NOTHING : dateFormat(options).format(moment(value)));

export const time = (value) =>
  withMoment(value, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export const shortTime = (value) => withMoment(value, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const day = (value) => withMoment(value, { weekday: "short", day: "numeric", month: "short" });
export const shortDay = (value) => withMoment(value, { day: "numeric", month: "short", timeZone: "UTC" });
/** With the year where it is not this one. */
export const dateTime = (value) =>
  withMoment(value, {
    year: isThisYear(value) ? undefined : "numeric",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
const isThisYear = (value) => new Date(moment(value)).getFullYear() === new Date().getFullYear();

/** How long before `now` something was. */
export function ago(value, now) {
  const then = moment(value);
  if (then === null) return NOTHING;
  return now - then < 1000 ? "just now" : `${duration(now - then)} ago`;
}

const CAPITALS = new Set(["ai", "api", "cpu", "csv", "dlq", "http", "id", "json", "ndjson", "url", "utc", "uuid"]);

/** "cart_abandoned" as a person writes it. */
export function words(name) {
  const parts = String(name ?? "")
    .split(/[_\s-]+/)
    .filter(Boolean);
  const text = parts.map((part) => (CAPITALS.has(part) ? part.toUpperCase() : part)).join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const BROWSERS = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

/** What a user agent says of itself, in two words where it is a browser's. */
export function device(agent) {
  const named = (list) => list.find(([sign]) => sign.test(agent))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  if (browser) return system ? `${browser} on ${system}` : browser;
  return agent || "Unknown";
}

/** An id short enough to be read, with both its ends. */
export const shortId = (id, room = 14) => {
  const text = String(id ?? "");
  return text.length <= room ? text : `${text.slice(0, room - 5)}…${text.slice(-4)}`;
};
