// Light, dark or as the system says: the choice is kept in this browser. early.js applies it before the first paint.

const KEY = "recoup.theme";
const ORDER = ["system", "light", "dark"];

export const theme = () => document.documentElement.dataset.theme ?? "system";

export const nextTheme = (current) => ORDER[(ORDER.indexOf(current) + 1) % ORDER.length];

export function setTheme(name) {
  if (name === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEY);
    return;
  }
  document.documentElement.dataset.theme = name;
  localStorage.setItem(KEY, name);
}
