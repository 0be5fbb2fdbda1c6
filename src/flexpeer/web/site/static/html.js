// Elements, by name, attributes and children; texts are texts, never markup.
const SVG = "http://www.w3.org/2000/svg";
const LEFT_TO_READERS = new Set(["open"]);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) listen(node, name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function listen(node, type, act) {
  if (!node.heard) node.heard = {};
  if (!(type in node.heard)) node.addEventListener(type, (event) => node.heard[type](event));
  node.heard[type] = act;
}

export const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);
export const meta = (name) => document.querySelector(`meta[name=${name}]`).content;
export const show = (root, ...children) => root.replaceChildren(...children.flat(Infinity).filter(Boolean));
export const status = (kind, text) => el("span", { class: `status ${kind}` }, text);

// The same, but what is there already stays where it is and only changes: whoever reads keeps place, focus and search.
// For views without forms: what acts on a node of its own would act on one that is not shown. `node.live` takes over by itself.
export const redraw = (root, ...children) => match(root, children.flat(Infinity).filter(Boolean).map((child) => (child instanceof Node ? child : document.createTextNode(child))));

// The parts of a page that are drawn at different times, made once.
export function parts(root, count) {
  if (root.dataset.parts !== String(count)) {
    root.dataset.parts = String(count);
    show(root, Array.from({ length: count }, () => el("div")));
  }
  return [...root.children];
}

const alike = (old, node) => old.nodeName === node.nodeName && Boolean(old.live) === Boolean(node.live) && (!node.live || old.live.name === node.live.name);

function match(root, wanted) {
  let at = root.firstChild;
  for (const node of wanted) {
    let found = at;
    while (found && !alike(found, node)) found = found.nextSibling;
    if (!found) {
      root.insertBefore(node, at);
      continue;
    }
    while (at !== found) at = removed(at);
    become(found, node);
    at = found.nextSibling;
  }
  while (at) at = removed(at);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

function become(old, node) {
  if (node.live) {
    old.live.take(node.live);
    return;
  }
  if (node.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name) && !LEFT_TO_READERS.has(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const [type, act] of Object.entries(node.heard || {})) listen(old, type, act);
  match(old, [...node.childNodes]);
}
