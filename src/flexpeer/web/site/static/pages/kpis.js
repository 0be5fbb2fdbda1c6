// The day's key figures, as they are reported.
import { all } from "../api.js";
import { el, show } from "../html.js";
import { number, t } from "../text.js";

function rows(values, path = "") {
  return Object.entries(values).flatMap(([name, value]) => {
    const title = path ? `${path}: ${t(name.replaceAll("_", " "))}` : t(name.replaceAll("_", " "));
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return rows(value, title);
    const shown = value === null ? "–" : typeof value === "number" ? number(value, 4) : Array.isArray(value) ? value.join(", ") || "–" : String(value);
    return [el("tr", {}, el("th", { scope: "row", class: "text" }, title), el("td", {}, shown))];
  });
}

export async function draw(root, { market }) {
  const found = await all("/api/Kpis", { marketId: market.id });
  if (!found.length) {
    show(root, el("p", { class: "soft" }, t("Key figures are reported when the market is settled.")));
    return;
  }
  show(root, el("p", { class: "soft" }, t("There is no official formula for these; the reference says how each is found.")), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("Key figures") }, el("table", {}, el("tbody", {}, found.flatMap((each) => rows(each.kpi))))));
}
