// The day's key figures, as they are reported.
import { all } from "../api.js";
import { el, show } from "../html.js";
import { figureTable } from "../parts.js";
import { t } from "../text.js";

export async function draw(root, { market }) {
  const found = await all("/api/Kpis", { marketId: market.id });
  if (!found.length) {
    show(root, el("p", { class: "soft" }, t("Key figures are reported when the market is settled.")));
    return;
  }
  show(root, el("p", { class: "soft" }, t("There is no official formula for these; the reference says how each is found.")), figureTable(t("Key figures"), found.map((each) => each.kpi)));
}
