// A table of many rows: searched as one types, and no more drawn than one looks at.
import { el } from "./html.js";
import { number, t } from "./text.js";

const AT_ONCE = 200;
const WORTH_A_SEARCH = 12;

// `columns` are [title, cell(row), is text, searched text(row)].
export function table(caption, columns, rows, nothing) {
  if (!rows.length) return el("p", { class: "soft" }, nothing);
  const body = el("tbody");
  const said = el("small", { role: "status" });
  const more = el("button", { type: "button" }, t("Show more"));
  const search = el("input", { type: "search", "aria-label": t("Search"), placeholder: t("Search") });
  let texts = null;
  const searched = (place) => {
    texts = texts || rows.map((row) => columns.map((column) => (column[3] ? column[3](row) : "")).join(" ").toLowerCase());
    return texts[place];
  };
  let shown = AT_ONCE;
  const draw = () => {
    const wanted = search.value.trim().toLowerCase();
    const found = wanted ? rows.filter((_, place) => searched(place).includes(wanted)) : rows;
    body.replaceChildren(
      ...found.slice(0, shown).map((row) =>
        el("tr", {}, columns.map(([, cell, text]) => el("td", { class: text ? "text" : null }, cell(row)))),
      ),
    );
    said.textContent = t("{shown} of {all}", { shown: number(Math.min(shown, found.length), 0), all: number(found.length, 0) });
    more.hidden = found.length <= shown;
  };
  search.addEventListener("input", () => {
    shown = AT_ONCE;
    draw();
  });
  more.addEventListener("click", () => {
    shown += 5 * AT_ONCE;
    draw();
  });
  draw();
  const head = columns.map(([title, , text]) => el("th", { scope: "col", class: text ? "text" : null }, title));
  return el(
    "section",
    {},
    rows.length > WORTH_A_SEARCH ? el("div", { class: "tools" }, search, said) : null,
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), body),
    ),
    more,
  );
}
