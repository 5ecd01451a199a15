// Shows an e-mail's HTML as its reader would see it, without running, loading or following anything in it.
//
// The frame is sandboxed without scripts. Under the console's content security policy its style attributes would be
// dropped, so the parsed message is copied into the frame and its styles are set again through the style objects, which
// the policy allows. Pictures are left out: the smallest of them would report that the shopper had opened the message.

import { h } from "./dom.js";

const SMALLEST = 160;
const LEFT_OUT = new Set(["SCRIPT", "LINK", "META", "BASE", "IFRAME", "OBJECT", "EMBED", "FORM", "TITLE"]);
const KEPT = new Set([
  "align",
  "valign",
  "width",
  "height",
  "bgcolor",
  "colspan",
  "rowspan",
  "cellpadding",
  "cellspacing",
  "border",
  "role",
  "lang",
  "dir",
  "class",
  "id",
]);

export const mailFrame = (mail) =>
  h("iframe", {
    class: "mail-frame",
    key: `mail-${mail.id}`,
    title: `The e-mail “${mail.subject}”`,
    sandbox: "allow-same-origin",
    srcdoc: "<!doctype html>",
    mount: (frame) => {
      frame.onload = () => fill(frame, mail.html);
    },
  });

function fill(frame, html) {
  const target = frame.contentDocument;
  const source = new DOMParser().parseFromString(renamed(html), "text/html");
  target.body.replaceChildren(...copies(source.body, target));
  target.body.style.cssText = `margin:0;height:auto;min-height:0;${source.body.dataset.recoupStyle ?? ""}`;
  target.adoptedStyleSheets = [...source.querySelectorAll("script[data-recoup-sheet]")].map((style) =>
    sheet(frame.contentWindow, style.textContent),
  );
  frame.style.height = `${Math.max(SMALLEST, target.body.scrollHeight + 2)}px`;
}

/** Styles under other names: the parser would report each to the policy. A script of a parsed document never runs. */
const renamed = (html) =>
  html
    .replaceAll(/(<[a-z][^<>]*?\s)style(\s*=)/gi, "$1data-recoup-style$2")
    .replaceAll(/<style\b/gi, "<script data-recoup-sheet ")
    .replaceAll(/<\/style\b/gi, "</script");

function sheet(view, text) {
  const made = new view.CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

function copies(parent, target) {
  return [...parent.childNodes].map((node) => copy(node, target)).filter(Boolean);
}

function copy(node, target) {
  if (node.nodeType === Node.TEXT_NODE) return target.createTextNode(node.data);
  if (node.nodeType !== Node.ELEMENT_NODE || LEFT_OUT.has(node.nodeName)) return null;
  if (node.nodeName === "IMG") return target.createTextNode(node.alt);
  const made = target.createElement(node.nodeName);
  for (const { name, value } of node.attributes) if (KEPT.has(name)) made.setAttribute(name, value);
  if (node.dataset.recoupStyle) made.style.cssText = node.dataset.recoupStyle;
  if (node.nodeName === "A") made.title = node.getAttribute("href") ?? "";
  made.append(...copies(node, target));
  return made;
}
