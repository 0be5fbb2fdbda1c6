// Resources and portfolios: what they can do, and whether they are prequalified.
import { all } from "../api.js";
import { show, status } from "../html.js";
import { table } from "../table.js";
import { mw, t } from "../text.js";

const check = (given) => (given ? status(given.passed ? "good" : "bad", `${given.passed ? t("passed") : t("failed")}, ${given.dso}`) : status("warn", t("waits")));

export async function draw(root) {
  const portfolios = await all("/api/Portfolios");
  show(root, table(t("Resources and portfolios"), [
    [t("Name"), (row) => row.name, true, (row) => row.name],
    [t("Owner"), (row) => row.ownerOrganizationId, true, (row) => row.ownerOrganizationId],
    [t("Kind"), (row) => (row.kind ? t(row.kind) : t("portfolio")), true, (row) => row.kind || ""],
    [t("Connected to"), (row) => `${row.dso}${row.gridNodeId ? `, ${row.gridNodeId}` : ""}`, true, (row) => `${row.dso} ${row.gridNodeId || ""}`],
    [t("Least (injection positive)"), (row) => mw(row.minimumQuantity)],
    [t("Most (injection positive)"), (row) => mw(row.maximumQuantity)],
    [t("Grid check"), (row) => check(row.gridCheck), true],
    [t("Product check"), (row) => check(row.productCheck), true],
  ], portfolios, t("No resource is registered. An FSP registers with POST /api/Portfolios.")));
}
