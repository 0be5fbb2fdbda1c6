// A new order: while one types, what it counts for at each point, and who is there to meet it.
import { all, ask } from "../api.js";
import { energy, spread } from "../draw.js";
import { field, instants as between, option } from "../form.js";
import { el, show } from "../html.js";
import { table } from "../table.js";
import { hours, money, moment, mw, number, t, time } from "../text.js";

const LEAST = 0.001;
let drawn = false;
export const still = () => drawn;

function ahead(market, zones, portfolio, side, from, to, quantity, price) {
  const rows = zones.filter((zone) => zone.portfolioIds.includes(portfolio) && zone.periodFrom < to && zone.periodTo > from);
  return [...new Set(rows.map((zone) => zone.id))].map((name) => {
    const own = rows.filter((zone) => zone.id === name);
    const factor = Math.min(...own.map((zone) => Number(zone.impactFactors.find((impact) => impact.portfolioId === portfolio).factor)));
    const need = Math.max(...own.map((zone) => Number(zone.flexibilityNeed)));
    return { name, factor, need, left: Math.max(...own.map((zone) => Number(zone.residualNeed))), direction: own[0].direction, grid: quantity * factor, price: factor ? price / factor : null };
  }).filter((row) => row.factor >= LEAST).sort((a, b) => b.need - a.need);
}

export async function draw(root, { market, organisation, role, tell }) {
  const [portfolios, zones, orders] = await Promise.all([all("/api/Portfolios"), all("/api/FlexibilityZones", { marketId: market.id }), all("/api/PublicOrders", { marketId: market.id })]);
  const mine = portfolios.filter((portfolio) => portfolio.ownerOrganizationId === organisation);
  const buysRelief = role.endsWith("DSO");
  drawn = true;
  if (!mine.length && !buysRelief) {
    show(root, el("p", { class: "soft" }, t("You have no resource yet. Register one, and have it prequalified, under “Resources”.")));
    return;
  }
  const local = (instant) => `${time(instant, market.timezone)}`;
  const instants = between(market);
  const hour = 60 / market.mtuMinutes;
  const needed = zones.filter((zone) => Number(zone.flexibilityNeed) > 0).map((zone) => zone.periodFrom).sort()[0];
  const begins = Math.max(0, instants.indexOf(needed ? new Date(needed).toISOString() : instants[0]));
  const form = el("form", { class: "bid" },
    buysRelief ? null : field("portfolioId", t("Resource or portfolio"), el("select", { required: true }, mine.map((each) => option(each.id, each.name)))),
    field("side", t("Side"), el("select", {}, buysRelief ? [option("Buy", t("Buy"))] : [option("Sell", t("Sell: I relieve the grid")), option("Buy", t("Buy: I need more room"))])),
    field("periodFrom", t("From"), el("select", {}, instants.slice(0, -1).map((at, place) => option(at, local(at), place === begins)))),
    field("periodTo", t("Until"), el("select", {}, instants.slice(1).map((at, place) => option(at, place === instants.length - 2 ? "24:00" : local(at), place + 1 === Math.min(begins + hour, instants.length - 1))))),
    field("quantity", t("Quantity in MW (resource side)"), el("input", { inputmode: "decimal", required: true, value: "1" })),
    field("unitPrice", t("Price in {currency} per MWh of the resource", { currency: market.currency }), el("input", { inputmode: "decimal", required: true, value: "300" })),
    field("flexibilityZoneId", t("Congestion point"), el("select", {}, option("", t("all that it relieves")), [...new Set(zones.map((zone) => zone.id))].map((name) => option(name, name)))),
    field("timeInForce", t("Time in force"), el("select", {}, option("Day", t("until the gate closes")), option("FaK", t("at once, the rest is killed")), option("FoK", t("at once and whole, or not at all")))),
    el("button", { class: "main" }, t("Send the order")));
  const side = el("div", { "aria-live": "polite" });
  const answer = el("div", { role: "status" });
  const decimal = (name) => form.elements[name].value.trim().replace(/\s/g, "").replace(",", ".");
  const asNumber = (name) => Number(decimal(name)) || 0;
  const chosen = (name) => (form.elements[name] ? form.elements[name].value : "");
  function look() {
    const [from, to] = [chosen("periodFrom"), chosen("periodTo")];
    const own = ahead(market, zones, chosen("portfolioId"), chosen("side"), from, to, asNumber("quantity"), asNumber("unitPrice"));
    const others = orders.filter((order) => order.side !== chosen("side") && order.periodFrom < to && order.periodTo > from);
    const sum = others.reduce((total, order) => total + Number(order.quantity), 0);
    const best = others.map((order) => Number(order.unitPrice)).sort((a, b) => (chosen("side") === "Sell" ? b - a : a - b))[0];
    show(side,
      buysRelief ? null : table(t("What it counts for at each point, at these hours"), [
        [t("Congestion point"), (row) => row.name, true, (row) => row.name],
        [t("Impact factor"), (row) => number(row.factor)],
        [t("Quantity, grid side"), (row) => mw(row.grid)],
        [t("Price, grid side"), (row) => (row.price === null ? "–" : money(row.price, market.currency))],
        [t("Needed / left"), (row) => `${mw(row.need)} / ${mw(row.left)}`],
      ], own, t("This resource counts at no published point at these hours.")),
      el("p", {}, others.length
        ? t("{count} open orders of the other side at these hours, {quantity} in all, the best at {price}.", { count: others.length, quantity: mw(sum), price: money(best, market.currency) })
        : t("Nobody of the other side is in the book at these hours; yours would wait there.")));
  }
  form.addEventListener("input", look);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    const wanted = (name) => (chosen(name) ? `"${name}":${JSON.stringify(chosen(name))},` : "");
    const exact = (name) => (/^-?\d+(\.\d+)?$/.test(decimal(name)) ? decimal(name) : JSON.stringify(decimal(name)));
    const body = `{"marketId":${JSON.stringify(market.id)},${["portfolioId", "side", "periodFrom", "periodTo", "flexibilityZoneId", "timeInForce"].map(wanted).join("")}"pricePoints":[{"quantity":${exact("quantity")},"unitPrice":${exact("unitPrice")}}]}`;
    try {
      const { document: order } = await ask("POST", "/api/Orders", body, { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) });
      show(answer, el("p", { class: "good" }, t("Accepted as number {arrival} at {when}.", { arrival: order.arrival, when: moment(order.receivedAt || market.now, market.timezone) }), " ", el("a", { href: "/orders" }, t("See what becomes of it"))));
      tell("");
    } catch (error) {
      show(answer, el("p", { class: "bad", role: "alert" }, error.message), error.accepted && el("p", {}, t("Accepted would be: {what}", { what: error.accepted })));
    }
    button.disabled = false;
  });
  const open = market.status === "open" ? null : el("p", { class: "warn" }, t("The gate is {status}: orders are taken while it is open, {from} to {to}.", { status: t(market.status), from: moment(market.gate.opens, market.timezone), to: moment(market.gate.closes, market.timezone) }));
  show(root, open, el("div", { class: "two" }, el("div", {}, form, answer), side));
  look();
}
