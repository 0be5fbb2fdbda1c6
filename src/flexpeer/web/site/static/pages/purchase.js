// What a DSO pays for relief at its points in the clearing after the gate, at most, and what it has bought.
import { get } from "../api.js";
import { closesAt, exactly, field, send } from "../form.js";
import { el, parts, redraw, show, status } from "../html.js";
import { table } from "../table.js";
import { money, mwh, t } from "../text.js";

let touched = false;

function rules(told, market) {
  const dearest = told.most === undefined ? null : money(told.most, told.currency);
  if (told.dsoPurchase !== "automatic") return el("p", { class: "soft" }, t("In this market DSOs buy relief with orders of their own, before the gate closes: place one under “New order”."));
  if (!dearest) return el("p", { class: "warn" }, t("No alternative is stated for this market, so nothing is bought after the gate."));
  return [el("p", { class: "soft" }, t("When the gate has closed, the clearing buys what is still missing at your points, at most at the price you state here; where you state none, at that of the dearest alternative, {price} per MWh.", { price: dearest })),
    el("p", {}, told.open ? status("on", t("You may change it until the gate closes, {when}.", { when: closesAt(market) })) : status("", t("The gate has closed: what you stated counts.")))];
}

function figures(told, market) {
  const mean = (row) => (Number(row.bought) > 0 ? money(Number(row.amount) / Number(row.bought), told.currency) : "–");
  return [rules(told, market),
    table(t("Alternatives, per MWh (grid side)"), [
      [t("Alternative"), ([name]) => t(name.replaceAll("_", " ")), true],
      [t("Price per MWh"), ([, price]) => money(price, told.currency)],
    ], Object.entries(told.alternatives), t("No alternative is stated for this market.")),
    table(t("Your points (grid side)"), [
      [t("Congestion point"), (row) => row.flexibilityZoneId, true, (row) => row.flexibilityZoneId],
      [t("Needed"), (row) => mwh(row.flexibilityNeed)],
      [t("Left now"), (row) => status(Number(row.residualNeed) > 0 ? "warn" : "good", mwh(row.residualNeed))],
      [t("You pay at most, per MWh"), (row) => (row.ceiling === undefined ? "–" : `${money(row.ceiling, told.currency)} (${row.stated ? t("stated by you") : t("dearest alternative")})`)],
      [t("Bought"), (row) => mwh(row.bought)],
      [t("For"), (row) => money(row.amount, told.currency)],
      [t("Mean price per MWh"), mean],
    ], told.points, t("None of this day's congestion points is yours, or none is published yet."))];
}

function ceilings(told, market, done) {
  const [button, answer] = [el("button", { class: "main" }, t("State these prices")), el("div", { role: "status" })];
  const form = el("form", { class: "bid", oninput: () => { touched = true; }, onsubmit: (event) => {
    event.preventDefault();
    const rows = told.points.map((row, n) => [row.flexibilityZoneId, form.elements[`ceiling${n}`]]).filter(([, input]) => input.value.trim());
    const body = `{"ceilings":[${rows.map(([name, input]) => `{"flexibilityZoneId":${JSON.stringify(name)},"unitPrice":${exactly(input)}}`).join(",")}]}`;
    send(button, answer, () => ["PUT", `/api/Purchase?marketId=${encodeURIComponent(market.id)}`, body, { "Content-Type": "application/json" }], done);
  } }, told.points.map((row, n) => field(`ceiling${n}`, t("{name}: at most, {currency} per MWh", { name: row.flexibilityZoneId, currency: told.currency }), el("input", { inputmode: "decimal", autocomplete: "off", value: row.stated ? String(row.ceiling) : "" }))), button);
  return el("section", { class: "card" }, el("h2", {}, t("What you pay at most")), el("p", { class: "soft" }, t("Empty: the dearest alternative. 0: nothing is paid.")), form, answer);
}

export async function draw(root, context) {
  const { market, tell } = context;
  const told = await get("/api/Purchase", { marketId: market.id });
  const [shown, form] = parts(root, 2);
  redraw(shown, figures(told, market));
  if (touched) return;
  show(form, told.open && told.points.length ? ceilings(told, market, async () => {
    touched = false;
    tell(t("Stated. It counts when the gate has closed."), "good");
    await draw(root, context);
    return [];
  }) : null);
}
