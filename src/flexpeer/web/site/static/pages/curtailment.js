// What resources owe by rule, by which policy, and how much of it trades have relieved them of.
import { all } from "../api.js";
import { el, redraw } from "../html.js";
import { rate } from "../parts.js";
import { table } from "../table.js";
import { hours, mw, mwh, t } from "../text.js";

export async function draw(root, { market }) {
  const owed = await all("/api/Allocations", { marketId: market.id });
  const sum = (field) => owed.reduce((total, row) => total + Number(row[field]), 0);
  const parts = (row) => {
    const changed = row.schedule.filter((part) => Number(part.quantity) !== 0);
    if (!changed.length) return "–";
    const lines = changed.map((part) => el("div", {}, `${hours(part.periodFrom, part.periodTo, market.timezone)}: ${mw(part.quantity)}`));
    const most = changed.reduce((best, part) => (Math.abs(part.quantity) > Math.abs(best.quantity) ? part : best));
    return lines.length < 4 ? lines : el("details", {}, el("summary", {}, t("{when}, at most {most}", { when: hours(changed[0].periodFrom, changed.at(-1).periodTo, market.timezone), most: mw(most.quantity) })), lines);
  };
  redraw(root,
    el("p", {}, t("Policy: {policy}. What nobody buys back is curtailed by rule.", { policy: t(market.rulebook.allocation).replaceAll("_", " ") })),
    owed.length ? el("p", {}, t("{owed} are owed, {back} of it is bought back (resource side).", { owed: mwh(sum("owed")), back: mwh(sum("boughtBack")) })) : null,
    table(t("Obligations by resource (resource side)"), [
      [t("Resource"), (row) => row.portfolioId, true, (row) => `${row.portfolioId} ${row.ownerOrganizationId} ${row.dso}`],
      [t("Owner"), (row) => row.ownerOrganizationId, true],
      [t("Owed"), (row) => mwh(row.owed)],
      [t("Bought back"), (row) => rate(Number(row.boughtBack), Number(row.owed))],
      [t("Change by hour (injection positive)"), parts],
    ], owed, market.status === "announced" ? t("Obligations are published with the need, when the gate opens.") : t("No resource you may see owes anything: the need is covered without curtailment, or nobody has a conditional agreement.")));
}
