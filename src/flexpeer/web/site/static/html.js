// Elements, by name, attributes and children; texts are texts, never markup.
const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (name, attributes, ...children) => filled(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => filled(document.createElementNS(SVG, name), attributes, children);
export const meta = (name) => document.querySelector(`meta[name=${name}]`).content;
export const show = (root, ...children) => root.replaceChildren(...children.flat(Infinity).filter(Boolean));
export const status = (kind, text) => el("span", { class: `status ${kind}` }, text);
