// The open book as everybody sees it: nobody's orders.
import { all } from "../api.js";
import { bookPicture } from "../draw.js";
import { el, show } from "../html.js";
import { openOrders } from "../parts.js";
import { t } from "../text.js";

const chosen = { regulation: "" };

export async function draw(root, context) {
  const { market, refresh } = context;
  const orders = await all("/api/PublicOrders", { marketId: market.id });
  const select = el("select", { onchange: (event) => { chosen.regulation = event.target.value; refresh(); } },
    [["", t("both directions")], ["Up", t("relief by Up")], ["Down", t("relief by Down")]].map(([value, text]) => el("option", { value, selected: value === chosen.regulation }, text)));
  const relief = (order) => (order.side === "Sell" ? order.regulationType : order.regulationType === "Up" ? "Down" : "Up");
  const found = orders.filter((order) => !chosen.regulation || relief(order) === chosen.regulation);
  show(root, el("div", { class: "tools" }, el("label", {}, t("Direction"), select)), bookPicture(found), openOrders(found, market, t("No order is open. Orders come with “New order”, while the gate is open.")));
}
