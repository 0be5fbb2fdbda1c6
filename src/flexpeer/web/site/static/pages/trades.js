// Trades, what they pay, and what resources do because of them.
import { all } from "../api.js";
import { el, redraw } from "../html.js";
import { table } from "../table.js";
import { hours, money, mw, t } from "../text.js";

export async function draw(root, { market }) {
  const query = { marketId: market.id };
  const [trades, confirmations, activations] = await Promise.all([all("/api/Trades", query), all("/api/Confirmations", query), all("/api/Activations", query)]);
  const when = (row) => hours(row.periodFrom, row.periodTo, market.timezone);
  const schedule = activations.flatMap((activation) => activation.schedule.map((part) => ({ ...part, portfolioId: activation.portfolioId })));
  redraw(root,
    table(t("Trades"), [
      [t("Trade"), (row) => row.id, true, (row) => row.id],
      [t("Phase"), (row) => t(row.phase), true, (row) => t(row.phase)],
      [t("Resource"), (row) => row.portfolioId || row.ownerOrganizationId, true, (row) => `${row.portfolioId} ${row.ownerOrganizationId} ${row.orderId}`],
      [t("Side"), (row) => t(row.side), true, (row) => t(row.side)],
      [t("Hours"), when, true, when],
      [t("Quantity (resource side)"), (row) => mw(row.quantity)],
      [t("Price per MWh"), (row) => `${money(row.unitPrice, market.currency)} (${t(row.priceOf)})`],
      [t("Amount"), (row) => money(row.amount, market.currency)],
      [t("Congestion point"), (row) => row.flexibilityZoneId || "–", true, (row) => row.flexibilityZoneId || ""],
    ], trades, t("No trade yet. Orders that cross are traded when every grid owner grants it.")),
    el("h2", {}, t("Confirmations with remuneration")),
    table(t("What is paid (-) or received"), [
      [t("Trade"), (row) => row.tradeId, true, (row) => row.tradeId],
      [t("Resource"), (row) => row.portfolioId, true, (row) => `${row.portfolioId} ${row.ownerOrganizationId}`],
      [t("Quantity (resource side)"), (row) => mw(row.quantity)],
      [t("Remuneration"), (row) => money(row.remuneration, row.currency)],
    ], confirmations, t("Confirmations come after the clearing.")),
    el("h2", {}, t("Activations")),
    table(t("What resources do, against their starting point"), [
      [t("Resource"), (row) => row.portfolioId, true, (row) => row.portfolioId],
      [t("Hours"), when, true, when],
      [t("Change (injection positive)"), (row) => mw(row.quantity)],
    ], schedule, t("Activations come with the confirmations.")));
}
