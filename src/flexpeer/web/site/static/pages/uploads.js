// Orders, plans and meter readings of an FSP as files; each line is answered.
import { all } from "../api.js";
import { SHEETS, closesAt, instants, opensAt, refusal, sheetMedia, upload } from "../form.js";
import { el, show, status } from "../html.js";
import { table } from "../table.js";
import { number, said, t } from "../text.js";

let touched = false;
export const still = () => touched;


function counted(told) {
  return el("p", { class: told.refused ? "warn" : "good" }, t("{accepted} taken, {refused} refused.", { accepted: number(told.accepted, 0), refused: number(told.refused, 0) }));
}

function lines(told) {
  return [counted(told), told.accepted ? el("p", {}, el("a", { href: "/orders" }, t("See what becomes of them"))) : null, table(t("Answers, line by line"), [
    [t("Line"), (row) => String(row.line)],
    [t("Order"), (row) => row.id || "–", true, (row) => row.id || ""],
    [t("Status"), (row) => (row.status < 300 ? status("good", row.status === 200 ? t("known before") : t("taken")) : status("bad", t("refused"))), true, (row) => (row.status < 300 ? t("taken") : t("refused"))],
    [t("No."), (row) => (row.arrival ? String(row.arrival) : "–")],
    [t("Why"), (row) => said(row), true, (row) => `${row.reason || ""} ${row.detail || ""}`],
  ], told.items, t("The file had no line."))];
}

const intervals = (next) => (told) => [counted(told), told.findings && told.findings.length ? refusal({ message: t("Not taken:"), findings: told.findings }) : el("p", {}, next)];

export async function draw(root, { market, organisation }) {
  const portfolios = await all("/api/Portfolios");
  const mine = portfolios.filter((portfolio) => portfolio.ownerOrganizationId === organisation);
  if (!mine.length) {
    show(root, el("p", { class: "soft" }, t("You have no resource yet. Register one, and have it prequalified, under “Resources”.")));
    return;
  }
  if (touched) return;
  const name = JSON.stringify(mine[0].id);
  const hours = instants(market);
  const gate = market.status === "open" ? null : el("p", { class: "warn" }, (market.status === "announced" ? t("The gate opens {from}: orders are taken from then to {to}.", { from: opensAt(market), to: closesAt(market) }) : t("The gate closed {to}: this day takes no more orders. A standing order comes to the next one.", { to: closesAt(market) })));
  root.addEventListener("input", () => { touched = true; });
  show(root, gate,
    upload({
      title: t("Orders"), accept: SHEETS, columns: ["order", "resource", "side", "from", "to", "quantity_w", "price"],
      about: t("Each line stands or falls alone, in order; a line sent again changes nothing. Quantities in W (resource side), prices per MWh of the resource."),
      example: `order,resource,side,from,to,quantity_w,price\n${`${organisation} 1`.replaceAll(",", " ")},${name},SELL,${hours[0]},${hours[1]},1000,300\n`,
      request: (file) => ["POST", `/api/Orders/import?marketId=${encodeURIComponent(market.id)}`, file, sheetMedia(file)], done: lines,
    }),
    upload({
      title: t("Plans"), accept: SHEETS, columns: ["resource", "from", "p_w"],
      about: t("What resources will do without the market, in W per market time unit, injection positive. Plans freeze when the gate closes, {when}.", { when: closesAt(market) }),
      example: `resource,from,p_w\n${name},${hours[0]},0\n`,
      request: (file) => ["POST", "/api/BaselineIntervals/import", file, sheetMedia(file)], done: intervals(t("Baselines of “own plan” are measured against it.")),
    }),
    upload({
      title: t("Meter readings"), accept: SHEETS, columns: ["resource", "from", "p_w"],
      about: t("What meters read, in W per market time unit, injection positive; after delivery and before the verification."),
      example: `resource,from,p_w\n${name},${hours[0]},0\n`,
      request: (file) => ["POST", "/api/MeterReadings/import", file, sheetMedia(file)], done: intervals(t("Delivery is verified with them.")),
    }));
}
