// A table of any number of rows: searched as one types, with only those rows drawn that one looks at.
import { el } from "./html.js";
import { number, t } from "./text.js";

const ALL_DRAWN = 100;
const WORTH_A_SEARCH = 12;
const BEYOND = 12;
const GUESSED_PX = 34;

// `columns` are [title, cell(row), is text, searched text(row)]. Drawn again by `redraw`, or with `live.set(rows)`, it stays where
// its reader is. `key(row)` tells rows apart over time; one that is the same object is not drawn again.
export function table(caption, columns, rows, nothing, key = null) {
  const node = el("section", { class: "rows" });
  node.live = new LiveTable(node, caption, columns, nothing, key);
  node.live.set(rows);
  return node;
}

class LiveTable {
  constructor(node, caption, columns, nothing, key) {
    Object.assign(this, { node, columns, nothing, key, name: caption, rows: [], found: [], drawn: new Map(), first: 0, height: GUESSED_PX });
    this.texts = new WeakMap();
    this.search = el("input", { type: "search", "aria-label": t("Search"), placeholder: t("Search"), oninput: () => this.look(true) });
    this.said = el("small");
    this.tools = el("div", { class: "tools", hidden: true }, this.search, this.said);
    this.empty = el("p", { class: "soft" });
    [this.above, this.body, this.below] = [el("div"), el("tbody"), el("div")];
    this.head = el("tr");
    this.grid = el("table", {}, el("caption", {}, caption), el("thead", {}, this.head), this.body);
    this.scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, onscroll: () => this.moved() }, this.above, this.grid, this.below);
    node.append(this.tools);
    this.title();
    new ResizeObserver(() => this.window()).observe(this.scroll);
  }

  title() {
    this.head.replaceChildren(...this.columns.map(([title, , text]) => el("th", { scope: "col", class: text ? "text" : null }, title)));
  }

  // What a newer drawing of the same table has.
  take(newer) {
    Object.assign(this, { columns: newer.columns, nothing: newer.nothing, key: newer.key, anew: true });
    this.title();
    this.set(newer.rows);
  }

  set(rows) {
    this.rows = rows;
    this.look(false);
  }

  text(row) {
    if (!this.texts.has(row)) this.texts.set(row, this.columns.map((column) => (column[3] ? column[3](row) : "")).join(" ").toLowerCase());
    return this.texts.get(row);
  }

  // Finds what is searched for; from the top where that is something else than before.
  look(anew) {
    const wanted = this.search.value.trim().toLowerCase();
    const objects = this.rows.length > 0 && typeof this.rows[0] === "object";
    const has = (row) => (objects ? this.text(row) : this.columns.map((column) => (column[3] ? column[3](row) : "")).join(" ").toLowerCase()).includes(wanted);
    const before = this.found;
    this.found = wanted ? this.rows.filter(has) : this.rows;
    this.tools.hidden = this.rows.length <= WORTH_A_SEARCH && !wanted;
    this.empty.textContent = this.rows.length ? t("Nothing here has these words.") : this.nothing;
    const [shown, other] = this.found.length ? [this.scroll, this.empty] : [this.empty, this.scroll];
    other.remove();
    if (!shown.parentNode) this.node.append(shown);
    const said = wanted ? t("{shown} of {all}", { shown: number(this.found.length, 0), all: number(this.rows.length, 0) }) : t("{all} in all", { all: number(this.rows.length, 0) });
    this.said.setAttribute("aria-live", anew ? "polite" : "off");
    if (this.said.textContent !== said) this.said.textContent = said;
    const many = this.found.length > ALL_DRAWN;
    this.scroll.classList.toggle("many", many);
    if (many) this.grid.setAttribute("aria-rowcount", String(this.found.length + 1));
    else this.grid.removeAttribute("aria-rowcount");
    if (anew) this.scroll.scrollTop = 0;
    else this.stay(before);
    this.window();
  }

  // Keeps the rows in sight where they are when others came before them.
  stay(before) {
    const top = this.scroll.scrollTop;
    const at = before[Math.floor(top / this.height)];
    if (!this.key || top < this.height || at === undefined) return;
    const [old, wanted] = [Math.floor(top / this.height), this.key(at)];
    const now = this.found.findIndex((row) => this.key(row) === wanted);
    if (now > old) {
      this.below.style.height = `${this.found.length * this.height}px`;
      this.scroll.scrollTop = top + (now - old) * this.height;
    }
  }

  moved() {
    if (this.waits || !this.scroll.classList.contains("many")) return;
    this.waits = true;
    requestAnimationFrame(() => { this.waits = false; this.window(); });
  }

  // Draws the rows in sight, and some beyond.
  window() {
    const { found, height } = this;
    const many = found.length > ALL_DRAWN;
    const first = many ? Math.max(0, Math.min(found.length - 1, Math.floor(this.scroll.scrollTop / height)) - BEYOND) : 0;
    const last = many ? Math.min(found.length, first + Math.ceil((this.scroll.clientHeight || 600) / height) + 2 * BEYOND) : found.length;
    this.draw(found.slice(first, last), first, many);
    const real = many && first === 0 ? this.body.offsetHeight / last : 0;
    if (real > 0) this.height = real;
    this.above.style.height = `${first * this.height}px`;
    this.below.style.height = `${(found.length - last) * this.height}px`;
  }

  draw(rows, first, many) {
    const before = this.drawn;
    this.drawn = new Map();
    let at = this.body.firstChild;
    rows.forEach((row, place) => {
      const name = this.key ? this.key(row) : first + place;
      const known = before.get(name);
      const same = known !== undefined && known.row === row && !this.anew;
      const tr = same ? known.tr : this.row(row, known && known.tr);
      if (many) tr.setAttribute("aria-rowindex", String(first + place + 2));
      this.drawn.set(name, { row, tr });
      if (tr === at) at = at.nextSibling;
      else this.body.insertBefore(tr, at);
    });
    this.anew = false;
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  // A row's cells, in the element that has stood for it: its place in the page and whoever is in it stay.
  row(row, tr = el("tr")) {
    const cells = this.columns.map(([title, cell, text]) => el("td", { class: text ? "text" : null, "data-title": title }, cell(row)));
    if (cells.every((cell, n) => cell.isEqualNode(tr.children[n] || null) && !cell.querySelector("button"))) return tr;
    const held = tr.contains(document.activeElement) ? document.activeElement.textContent : null;
    tr.replaceChildren(...cells);
    if (held !== null) ([...tr.querySelectorAll("button")].find((button) => button.textContent === held) || this.scroll).focus();
    return tr;
  }
}
