// Key figures over days: one column a day, of settled days as reported, of the one under way so far.
import { all, get } from "../api.js";
import { el, redraw } from "../html.js";
import { flatFigures } from "../parts.js";
import { table } from "../table.js";
import { t } from "../text.js";

export async function draw(root, { market }) {
  const under = market.status !== "settled" && market.status !== "announced";
  const [reported, told] = await Promise.all([all("/api/Kpis"), under ? get(`/api/Markets/${encodeURIComponent(market.id)}/costs`) : null]);
  const columns = reported.map((each) => ({ title: each.marketId, figures: flatFigures(each.kpi, market.currency) }));
  if (told) columns.push({ title: t("{day} so far", { day: market.id }), figures: flatFigures(told.kpi, market.currency) });
  if (!columns.length) {
    redraw(root, el("p", { class: "soft" }, t("Key figures are shown from the opening of the gate, and reported when the market is settled.")));
    return;
  }
  const names = [...new Set(columns.flatMap((column) => [...column.figures.keys()]))];
  redraw(root, el("p", { class: "soft" }, t("There is no official formula for these; the reference says how each is found.")),
    table(t("Key figures by day"), [[t("Key figure"), (name) => name, true, (name) => name], ...columns.map((column) => [column.title, (name) => column.figures.get(name) ?? "–"])], names, ""));
}
