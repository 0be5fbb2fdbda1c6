// What anybody may see: a day's book, what settled days came to, and the rules; asked for anew now and then.
import { get } from "./api.js";
import { bookPicture } from "./draw.js";
import { el, show } from "./html.js";
import { dayStages, figureTable, openOrders } from "./parts.js";
import { table } from "./table.js";
import { day, hours, money, moment, mw, number, t } from "./text.js";

const ASK_MS = 15000;
const main = document.getElementById("main");
const content = document.getElementById("content");
let drawn = "";
let chosen = new URLSearchParams(location.search).get("market");

function results(market) {
  const when = (row) => hours(row.periodFrom, row.periodTo, market.timezone);
  if (market.status !== "settled") {
    const settled = market.timeline.find((stage) => stage.stage === "settled");
    return el("p", { class: "soft" }, t("Results are shown when the day is settled, {when}.", { when: moment(settled.at, market.timezone) }));
  }
  return table(t("Trades of the day"), [
    [t("Phase"), (row) => t(row.phase), true, (row) => t(row.phase)],
    [t("Hours"), when, true, when],
    [t("Quantity (resource side)"), (row) => mw(row.quantity)],
    [t("Price per MWh"), (row) => `${money(row.unitPrice, market.currency)} (${t(row.priceOf)})`],
    [t("Congestion point"), (row) => row.flexibilityZoneId || "–", true, (row) => row.flexibilityZoneId || ""],
  ], market.trades || [], t("The day had no trade."));
}

function choice(days, redraw) {
  if (days.length < 2) return null;
  const select = el("select", { onchange: (event) => { chosen = event.target.value; redraw(); } }, days.map((each) => el("option", { value: each.id, selected: each.id === chosen }, each.id)));
  return el("div", { class: "tools" }, el("label", {}, t("Delivery day"), select));
}

function draw(days) {
  const market = days.find((each) => each.id === chosen) || days[days.length - 1];
  chosen = market.id;
  const book = market.orders;
  show(content, choice(days, () => draw(days)),
    el("p", { class: "soft" }, `${market.name}, ${day(market.periodFrom, market.timezone)}`), dayStages(market),
    el("h2", { id: "book" }, t("Order book")), el("p", {}, t("{count} open orders.", { count: number(book.length, 0) })), bookPicture(book),
    openOrders(book, market, t("No order is open. Orders are taken from {from} to {to}.", { from: moment(market.gate.opens, market.timezone), to: moment(market.gate.closes, market.timezone) })),
    el("h2", { id: "results" }, t("Results")), results(market),
    el("h2", { id: "figures" }, t("Key figures")), market.kpi ? figureTable(t("Key figures"), [market.kpi], market.currency) : el("p", { class: "soft" }, t("Key figures are reported when the market is settled.")),
    el("h2", { id: "rules" }, t("Rulebook")), figureTable(t("Rulebook"), [market.rulebook]));
}

async function look() {
  if (document.hidden && drawn) return;
  try {
    const { items } = await get("/api/Public");
    const says = JSON.stringify(items);
    if (says !== drawn && !content.contains(document.activeElement)) {
      drawn = says;
      draw(items);
    }
  } catch (error) {
    show(content, el("p", { class: "bad", role: "alert" }, error.message));
  }
  main.removeAttribute("aria-busy");
}

look();
setInterval(look, ASK_MS);
