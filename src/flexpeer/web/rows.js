// Tables of many rows: searched as one types, sorted by a column, and no more drawn than one looks at.
// The data is {title, columns, rows}; a column is {title, kind, places, words, colours} and its kind text, name, long,
// number (with so many places) or status. Cells of a column with words are places in them; what cannot be known is null.
(() => {
  const AT_ONCE = 100;
  const el = (name, properties, ...children) => {
    const node = Object.assign(document.createElement(name), properties);
    node.append(...children);
    return node;
  };
  const grouped = (value, places = 0) => {
    const [whole, rest] = Math.abs(value).toFixed(places).split(".");
    const digits = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
    return `${value < 0 ? "\u2212" : ""}${digits}${rest ? `.${rest}` : ""}`;
  };
  const said = (column, cell) => {
    if (cell === null) return "–";
    if (column.words) return column.words[cell];
    return column.kind === "number" ? grouped(cell, column.places) : String(cell);
  };
  const body = (column, cell) => {
    if (column.kind !== "status") return said(column, cell);
    return el("span", { className: `status ${column.colours[cell]}` }, said(column, cell));
  };
  const css = (column) => ({ number: "", long: "text long", name: "text name" })[column.kind] ?? "text";

  const table = (place) => {
    const data = JSON.parse(document.getElementById(place.dataset.rows).textContent);
    const plain = (text) => String(text).toLowerCase().replaceAll("\u202f", "").replaceAll("\u2212", "-");
    const texts = data.rows.map((row) => plain(row.map((cell, n) => said(data.columns[n], cell)).join("\u0001")));
    const search = el("input", { type: "search", placeholder: "Search" });
    search.setAttribute("aria-label", `Search: ${data.title}`);
    const status = el("small", {});
    status.setAttribute("role", "status");
    const rows = el("tbody", {});
    const more = el("button", { type: "button" }, "Show more");
    let shown = AT_ONCE;
    let order = data.rows.map((_, n) => n);
    const draw = () => {
      const wanted = plain(search.value).split(/\s+/).filter(Boolean);
      const found = wanted.length ? order.filter((n) => wanted.every((word) => texts[n].includes(word))) : order;
      const line = (n) => el("tr", {}, ...data.rows[n].map((cell, c) => el("td", { className: css(data.columns[c]) }, body(data.columns[c], cell))));
      rows.replaceChildren(...found.slice(0, shown).map(line));
      status.textContent = `${grouped(Math.min(shown, found.length))} shown of ${grouped(found.length)}${wanted.length ? " found" : ""}`;
      more.hidden = found.length <= shown;
    };
    const heads = data.columns.map((column, c) => {
      const button = el("button", { type: "button" }, column.title);
      const head = el("th", { scope: "col", className: css(column) }, button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = column.kind === "number" ? (n) => data.rows[n][c] ?? -Infinity : (n) => said(column, data.rows[n][c]);
        const compare = (a, b) => (column.kind === "number" ? key(a) - key(b) : key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
        order = data.rows.map((_, n) => n).sort((a, b) => (compare(a, b) || 0) * (down ? -1 : 1) || a - b);
        draw();
      });
      return head;
    });
    search.addEventListener("input", () => { shown = AT_ONCE; draw(); });
    more.addEventListener("click", () => { shown += 5 * AT_ONCE; draw(); });
    const scroll = el("div", { className: "scroll", tabIndex: 0 }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), rows));
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", data.title);
    draw();
    place.replaceChildren(el("div", { className: "tools" }, el("strong", {}, data.title), search, status), scroll, more);
  };
  document.querySelectorAll("[data-rows]").forEach(table);
})();
