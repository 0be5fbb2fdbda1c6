// What resources delivered of what they sold, verified with their meters.
import { all } from "../api.js";
import { el, redraw, status } from "../html.js";
import { table } from "../table.js";
import { hours, mw, percent, t } from "../text.js";

export async function draw(root, { market }) {
  const query = { marketId: market.id };
  const [deliveries, activations, readings] = await Promise.all([all("/api/Deliveries", query), all("/api/Activations", query), all("/api/MeterReadings", query)]);
  const when = (row) => hours(row.periodFrom, row.periodTo, market.timezone);
  const rows = deliveries.flatMap((one) => one.periods.map((part) => ({ ...one, ...part })));
  const metered = new Set(readings.map((row) => row.portfolioId));
  const waiting = activations.filter((row) => !metered.has(row.portfolioId)).map((row) => row.portfolioId);
  const next = deliveries.length ? null : activations.length
    ? el("p", { class: waiting.length ? "warn" : "soft" }, waiting.length ? t("Meter readings are missing of: {names}. Send them under “Files”, or over the API.", { names: waiting.slice(0, 8).join(", ") + (waiting.length > 8 ? " …" : "") }) : t("Every activated resource has meter readings; delivery is verified at its time."))
    : el("p", { class: "soft" }, t("Activations come with the confirmations."));
  redraw(root, next, table(t("Delivered of what was sold (resource side)"), [
    [t("Resource"), (row) => row.portfolioId, true, (row) => `${row.portfolioId} ${row.ownerOrganizationId}`],
    [t("Regulation"), (row) => t(row.regulationType), true, (row) => t(row.regulationType)],
    [t("Hours"), when, true, when],
    [t("Ordered"), (row) => mw(row.ordered)],
    [t("Delivered"), (row) => mw(row.delivered)],
    [t("Baseline"), (row) => mw(row.baseline)],
    [t("Paid"), (row) => status(Number(row.paidShare) === 1 ? "good" : Number(row.paidShare) > 0 ? "warn" : "bad", percent(Number(row.paidShare))), true],
  ], rows, t("Nothing is verified yet.")));
}
