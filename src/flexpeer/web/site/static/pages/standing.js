// Orders that are placed anew whenever a day's gate opens.
import { all, ask } from "../api.js";
import { exactly, field, instants, option, removing, send } from "../form.js";
import { el, parts, redraw, show, status } from "../html.js";
import { table } from "../table.js";
import { money, mw, said, t, time } from "../text.js";

let touched = false;

export async function draw(root, context) {
  const { market, organisation, role, tell } = context;
  const [portfolios, standing] = await Promise.all([all("/api/Portfolios"), all("/api/StandingOrders")]);
  const mine = portfolios.filter((each) => each.ownerOrganizationId === organisation);
  const dso = role.endsWith("DSO");
  const refresh = () => draw(root, context);
  const placed = (row) => (row.placed || []).map((day) => el("div", {}, day.reason ? status("bad", `${day.marketId}: ${said(day)}`) : status("good", day.marketId)));
  const list = table(t("Standing orders"), [
    [t("Resource"), (row) => row.portfolioId, true, (row) => row.portfolioId],
    [t("Side"), (row) => t(row.side), true, (row) => t(row.side)],
    [t("Hours"), (row) => `${row.timeFrom}–${row.timeTo}`, true, (row) => row.timeFrom],
    [t("Quantity (resource side)"), (row) => mw(row.quantity)],
    [t("Price per MWh"), (row) => money(row.unitPrice, market.currency)],
    [t("Congestion point"), (row) => row.flexibilityZoneId || t("all that it relieves"), true],
    [t("Placed on"), (row) => ((row.placed || []).length ? placed(row) : t("waits for the next gate")), true],
    ["", (row) => removing(t("End"), t("Place this order no more? What is placed already stays."), () => ask("DELETE", `/api/StandingOrders/${encodeURIComponent(row.id)}`), tell, refresh), true],
  ], standing, t("You have no standing order. Make one below: it is placed on every day, as soon as its gate opens."));
  const [listed, made] = parts(root, 2);
  redraw(listed, list);
  if (touched) return;
  if (!mine.length && !dso) {
    show(made, el("p", { class: "soft" }, t("You have no resource yet. Register one, and have it prequalified, under “Resources”.")));
    return;
  }
  const clock = instants(market).map((at) => time(at, market.timezone));
  const starts = [...new Set(clock.slice(0, -1))];
  const ends = [...starts.slice(1), "24:00"];
  const button = el("button", { class: "main" }, t("Make the standing order"));
  const answer = el("div", { role: "status" });
  const form = el("form", { class: "bid", onsubmit: (event) => {
    event.preventDefault();
    const { portfolioId, side, timeFrom, timeTo, quantity, unitPrice, flexibilityZoneId } = form.elements;
    const zone = flexibilityZoneId.value.trim();
    const body = `{${portfolioId ? `"portfolioId":${JSON.stringify(portfolioId.value)},` : ""}"side":"${side.value}","timeFrom":"${timeFrom.value}","timeTo":"${timeTo.value}",${zone ? `"flexibilityZoneId":${JSON.stringify(zone)},` : ""}"quantity":${exactly(quantity)},"unitPrice":${exactly(unitPrice)}}`;
    send(button, answer, () => ["POST", "/api/StandingOrders", body, { "Content-Type": "application/json" }], async () => {
      touched = false;
      tell(t("Made. It is placed whenever a gate opens."), "good");
      await refresh();
      return [];
    });
  } },
  dso ? null : field("portfolioId", t("Resource or portfolio"), el("select", { required: true }, mine.map((each) => option(each.id, each.name)))),
  field("side", t("Side"), el("select", {}, dso ? [option("Buy", t("Buy"))] : [option("Sell", t("Sell: I relieve the grid")), option("Buy", t("Buy: I need more room"))])),
  field("timeFrom", t("From"), el("select", {}, starts.map((at) => option(at, at)))),
  field("timeTo", t("Until"), el("select", {}, ends.map((at) => option(at, at, at === "24:00")))),
  field("quantity", t("Quantity in MW (resource side)"), el("input", { inputmode: "decimal", required: true, value: "1" })),
  field("unitPrice", t("Price in {currency} per MWh of the resource", { currency: market.currency }), el("input", { inputmode: "decimal", required: true, value: "300" })),
  field("flexibilityZoneId", dso ? t("Congestion point") : t("Congestion point (empty: all that it relieves)"), el("input", { required: dso, autocomplete: "off" })), button);
  form.addEventListener("input", () => { touched = true; });
  show(made, el("section", { class: "card" }, el("h2", {}, t("A new standing order")), el("p", { class: "soft" }, t("An order with the same hours, quantity and price on every day, in local time; it survives a restart of the service.")), form, answer));
}
