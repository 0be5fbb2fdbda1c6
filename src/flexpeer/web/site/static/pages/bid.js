// A new order: while one types, the market says what it counts for, whom it would meet, and whether it would be accepted.
import { all, ask } from "../api.js";
import { exact, exactly, field, instants as between, option, waited } from "../form.js";
import { el, show, status } from "../html.js";
import { table } from "../table.js";
import { money, moment, mw, number, said, t, time } from "../text.js";

const PAUSE_MS = 200;
let drawn = false;
export const still = () => drawn;

function verdict(told) {
  if (told.accepted) return el("p", {}, status("good", t("It would be accepted.")));
  return [el("p", { class: "bad" }, status("bad", t("It would be refused: {why}", { why: said(told) }))), told.wouldBe ? el("p", {}, t("Accepted would be: {what}", { what: t(told.wouldBe) })) : null];
}

function meetings(told, side, market) {
  const met = Number(told.metQuantity);
  if (!told.accepted) return null;
  const summed = met ? t("It would meet {met} at once (before the grid's check); {left} would wait in the book.", { met: mw(met), left: mw(told.leftQuantity) }) : t("It meets nobody in the book at these hours and this price; it would wait there.");
  return [el("p", {}, summed), told.meetings.length ? table(t("Whom it would meet, in this order"), [
    [side === "Sell" ? t("They buy (their side)") : t("They sell (their side)"), (row) => mw(row.quantityTheirs)],
    [t("Yours (resource side)"), (row) => mw(row.quantity)],
    [t("Their price"), (row) => money(row.unitPrice, market.currency)],
    [t("Per MWh of yours"), (row) => money(row.ownUnitPrice, market.currency)],
    [t("Congestion point"), (row) => row.flexibilityZoneId || "–", true],
  ], told.meetings, "") : null];
}

function preview(told, side, market, buysRelief) {
  if (!told.accepted && !told.points.length) return [verdict(told)];
  return [verdict(told), told.regulationType ? el("p", { class: "soft" }, t("Regulation: {regulation}", { regulation: t(told.regulationType) })) : null,
    buysRelief ? null : table(t("What it counts for at each point, at these hours"), [
      [t("Congestion point"), (row) => row.flexibilityZoneId, true, (row) => row.flexibilityZoneId],
      [t("Impact factor"), (row) => number(row.factor)],
      [t("Quantity, grid side"), (row) => mw(row.quantity)],
      [t("Price, grid side"), (row) => (row.unitPrice === undefined ? "–" : money(row.unitPrice, market.currency))],
      [t("Needed / left"), (row) => `${mw(row.flexibilityNeed)} / ${mw(row.residualNeed)}`],
    ], told.points, t("This resource counts at no published point at these hours.")), meetings(told, side, market)];
}

export async function draw(root, { market, organisation, role, tell }) {
  const [portfolios, zones] = await Promise.all([all("/api/Portfolios"), all("/api/FlexibilityZones", { marketId: market.id })]);
  const mine = portfolios.filter((portfolio) => portfolio.ownerOrganizationId === organisation);
  const buysRelief = role.endsWith("DSO");
  drawn = true;
  if (!mine.length && !buysRelief) {
    show(root, el("p", { class: "soft" }, t("You have no resource yet. Register one, and have it prequalified, under “Resources”.")));
    return;
  }
  const local = (instant) => `${time(instant, market.timezone)}`;
  if (buysRelief && !zones.some((zone) => zone.dso === organisation)) {
    show(root, el("p", { class: "soft" }, t("None of this day's congestion points is yours, or none is published yet.")));
    return;
  }
  const instants = between(market);
  const hour = 60 / market.mtuMinutes;
  const counts = (zone) => (buysRelief ? zone.dso === organisation : !mine.length || zone.portfolioIds.includes(mine[0].id));
  const first = zones.filter((zone) => Number(zone.flexibilityNeed) > 0 && counts(zone)).sort((a, b) => a.periodFrom.localeCompare(b.periodFrom))[0];
  const needed = first && first.periodFrom;
  const named = [...new Set((buysRelief ? zones.filter(counts) : zones).map((zone) => zone.id))];
  const begins = Math.max(0, instants.indexOf(needed ? new Date(needed).toISOString() : instants[0]));
  const form = el("form", { class: "bid" },
    buysRelief ? null : field("portfolioId", t("Resource or portfolio"), el("select", { required: true }, mine.map((each) => option(each.id, each.name)))),
    field("side", t("Side"), el("select", {}, buysRelief ? [option("Buy", t("Buy"))] : [option("Sell", t("Sell: I relieve the grid")), option("Buy", t("Buy: I need more room"))])),
    field("periodFrom", t("From"), el("select", {}, instants.slice(0, -1).map((at, place) => option(at, local(at), place === begins)))),
    field("periodTo", t("Until"), el("select", {}, instants.slice(1).map((at, place) => option(at, place === instants.length - 2 ? "24:00" : local(at), place + 1 === Math.min(begins + hour, instants.length - 1))))),
    field("quantity", buysRelief ? t("Quantity in MW (grid side)") : t("Quantity in MW (resource side)"), el("input", { inputmode: "decimal", required: true, value: "1" })),
    field("unitPrice", buysRelief ? t("Price in {currency} per MWh (grid side)", { currency: market.currency }) : t("Price in {currency} per MWh of the resource", { currency: market.currency }), el("input", { inputmode: "decimal", required: true, value: "300" })),
    field("flexibilityZoneId", t("Congestion point"), el("select", {}, buysRelief ? null : option("", t("all that it relieves")), named.map((name) => option(name, name, buysRelief && first && name === first.id)))),
    field("timeInForce", t("Time in force"), el("select", {}, option("Day", t("until the gate closes")), option("FaK", t("at once, the rest is killed")), option("FoK", t("at once and whole, or not at all")))),
    el("button", { class: "main" }, t("Send the order")));
  const side = el("div", { "aria-live": "polite" });
  const answer = el("div", { role: "status" });
  const chosen = (name) => (form.elements[name] ? form.elements[name].value : "");
  const body = () => {
    const wanted = (name) => (chosen(name) ? `"${name}":${JSON.stringify(chosen(name))},` : "");
    return `{"marketId":${JSON.stringify(market.id)},${["portfolioId", "side", "periodFrom", "periodTo", "flexibilityZoneId", "timeInForce"].map(wanted).join("")}"pricePoints":[{"quantity":${exactly(form.elements.quantity)},"unitPrice":${exactly(form.elements.unitPrice)}}]}`;
  };
  const headers = { "Content-Type": "application/json" };
  let asked = 0;
  async function look() {
    const turn = ++asked;
    if (exact(chosen("quantity")) === undefined || exact(chosen("unitPrice")) === undefined) {
      show(side, el("p", { class: "soft" }, t("Give a quantity and a price.")));
      return;
    }
    let shown;
    try {
      const { document: told } = await ask("POST", "/api/Orders/preview", body(), headers);
      shown = preview(told, chosen("side"), market, buysRelief);
    } catch (error) {
      shown = [el("p", { class: "bad" }, status("bad", t("It would be refused: {why}", { why: error.message }))), error.accepted ? el("p", {}, t("Accepted would be: {what}", { what: error.accepted })) : null];
    }
    if (turn === asked) show(side, shown);
  }
  let waiting = null;
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, PAUSE_MS); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await waited(form.querySelector("button"), async () => {
      try {
        const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
        const { document: order } = await ask("POST", "/api/Orders", body(), { ...headers, "Idempotency-Key": key });
        show(answer, el("p", { class: "good" }, t("Accepted as number {arrival} at {when}.", { arrival: order.arrival, when: moment(order.receivedAt || market.now, market.timezone) }), " ", el("a", { href: "/orders" }, t("See what becomes of it"))));
        tell("");
      } catch (error) {
        show(answer, el("p", { class: "bad", role: "alert" }, error.message), error.accepted && el("p", {}, t("Accepted would be: {what}", { what: error.accepted })));
      }
    });
    look();
  });
  const open = market.status === "open" ? null : el("p", { class: "warn" }, (market.status === "announced" ? t("The gate opens {from}: orders are taken from then to {to}.", { from: moment(market.gate.opens, market.timezone), to: moment(market.gate.closes, market.timezone) }) : t("The gate closed {to}: this day takes no more orders. A standing order comes to the next one.", { to: moment(market.gate.closes, market.timezone) })));
  show(root, open, el("div", { class: "two" }, el("div", {}, form, answer), side));
  await look();
}
