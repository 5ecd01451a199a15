// Nodes and patching. `h` builds a tree; `patch` changes what is shown into it, touching only what differs, so that
// figures change every two seconds while focus, scrolling, selections and open details stay as they are.
//
// Handlers live beside the nodes and are called by one listener per event type on the document: patching a node takes
// over the new tree's handlers without adding or removing any.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "rect", "circle", "line", "text"]);
const BUBBLING = ["click", "input", "change", "submit", "keydown", "pointermove"];
const handlers = new WeakMap();
const keys = new WeakMap();
const mounts = new WeakMap();

/** A node: `h("button", {class: "quiet", on: {click}}, "Close")`. False and null attributes and children are left out. */
export function h(tag, props, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(node, name, value);
  node.append(
    ...children
      .flat(Infinity)
      .filter(isShown)
      .map((child) => (child?.nodeType ? child : String(child))),
  );
  return node;
}

const isShown = (child) => child !== null && child !== undefined && child !== false;

function setProp(node, name, value) {
  if (name === "on") handlers.set(node, value);
  else if (name === "key") keys.set(node, value);
  else if (name === "mount") mounts.set(node, value);
  else if (name === "style") for (const [rule, to] of Object.entries(value)) node.style.setProperty(rule, to);
  else if (value === true) node.setAttribute(name, "");
  else if (isShown(value)) node.setAttribute(name, value);
}

/** Makes the children of `parent` equal to `wanted`, keeping every node that can be kept. */
export function patch(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) if (keys.has(child)) keyed.set(keys.get(child), child);
  let cursor = parent.firstChild;
  for (const next of wanted) {
    const kept = keys.has(next) ? keyed.get(keys.get(next)) : unkeyed(cursor);
    if (kept && alike(kept, next)) {
      if (kept === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(kept, cursor);
      update(kept, next);
    } else {
      parent.insertBefore(next, cursor);
      mountAll(next);
    }
  }
  while (cursor) {
    const rest = cursor.nextSibling;
    cursor.remove();
    cursor = rest;
  }
}

const unkeyed = (node) => (node && !keys.has(node) ? node : null);

const alike = (left, right) => left.nodeName === right.nodeName && keys.get(left) === keys.get(right);

function update(shown, next) {
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== next.data) shown.data = next.data;
    return;
  }
  if (handlers.has(next)) handlers.set(shown, handlers.get(next));
  else handlers.delete(shown);
  if (mounts.has(next)) {
    mounts.get(next)(shown);
    return;
  }
  updateAttributes(shown, next);
  patch(shown, [...next.childNodes]);
}

function updateAttributes(shown, next) {
  for (const { name } of [...shown.attributes]) {
    // What a person opened stays open; styles are compared as a whole below.
    if (name !== "open" && name !== "style" && !next.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (name !== "open" && name !== "style" && shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  if (shown.style.cssText !== next.style.cssText) shown.style.cssText = next.style.cssText;
}

/** A node with `mount` looks after itself: called once it is in the page and whenever it would be patched. */
function mountAll(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  mounts.get(node)?.(node);
  for (const child of node.querySelectorAll("*")) mounts.get(child)?.(child);
}

function dispatch(event) {
  for (let node = event.target; node && node !== document; node = node.parentNode) {
    handlers.get(node)?.[event.type]?.(event, node);
    if (event.cancelBubble) return;
  }
}

for (const type of BUBBLING) document.addEventListener(type, dispatch);
