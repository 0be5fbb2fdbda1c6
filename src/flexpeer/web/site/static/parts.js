// Parts that pages of organisations and the public page share.
import { el, status } from "./html.js";
import { table } from "./table.js";
import { hours, money, moment, mw, mwh, number, percent, t } from "./text.js";

// A part of a whole, in MWh and as a share, by colour and shape.
export const rate = (part, whole) => status(part >= whole ? "good" : part > 0 ? "warn" : "bad", `${mwh(part)} (${percent(whole ? part / whole : 1)})`);

// Has a browser keep a text as a file.
export function download(name, text) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

// How long it is until an instant, in hours and minutes.
export function until(now, instant) {
  const minutes = Math.max(0, Math.round((Date.parse(instant) - now) / 60000));
  return t("{hours} h {minutes} min", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

// Whether a stage's time has passed without it.
const late = (stage, market) => !stage.reached && Date.parse(stage.at) < Date.parse(market.now);

export function dayStages(market) {
  const next = market.timeline.find((stage) => !stage.reached);
  return el("ol", { class: "stages" }, market.timeline.slice(1).map((stage) =>
    el("li", { class: stage.reached ? "done" : stage === next ? "next" : null, "aria-current": stage === next ? "step" : null },
      status(stage.reached ? "good" : late(stage, market) ? "warn" : stage === next ? "on" : "", t(stage.stage)),
      el("small", {}, moment(stage.at, market.timezone)), late(stage, market) ? el("small", { class: "warn" }, t("late: it is being worked on")) : null)));
}

export function openOrders(orders, market, nothing, key = null) {
  const when = (order) => hours(order.periodFrom, order.periodTo, market.timezone);
  return table(t("Open orders"), [
    [t("Side"), (order) => t(order.side), true, (order) => `${order.side} ${t(order.side)}`],
    [t("Regulation"), (order) => t(order.regulationType), true, (order) => t(order.regulationType)],
    [t("Hours"), when, true, when],
    [t("Quantity (resource side)"), (order) => mw(order.quantity)],
    [t("Price per MWh"), (order) => money(order.unitPrice, market.currency)],
    [t("Congestion point"), (order) => order.flexibilityZoneId || t("all that it relieves"), true, (order) => order.flexibilityZoneId || ""],
  ], orders, nothing, key);
}

const MONEY = ["saving", "cost_by_perspective", "alternative_cost", "opex", "still_curtailed_cost", "welfare", "welfare_continuous", "welfare_clearing", "welfare_optimum"];
const SHARES = ["efficiency", "liquidity", "fill_rate", "delivered_of_ordered", "res_curtailment_reduction"];

// A number in the unit of the figure it is of, or of which it is a part.
function measured(value, figure, currency) {
  if (currency && MONEY.includes(figure)) return money(value, currency);
  if (SHARES.includes(figure)) return percent(value);
  return figure.endsWith("_mwh") ? mwh(value) : number(value, 4);
}

function rows(values, currency, path = "", figure = null) {
  return Object.entries(values).flatMap(([name, value]) => {
    const title = path ? `${path}: ${t(name.replaceAll("_", " "))}` : t(name.replaceAll("_", " "));
    const of = figure || name;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return rows(value, currency, title, of);
    const shown = value === null ? "–" : typeof value === "number" ? measured(value, of, currency) : Array.isArray(value) ? value.join(", ") || "–" : t(String(value));
    return [el("tr", {}, el("th", { scope: "row", class: "text" }, title), el("td", {}, shown))];
  });
}

// Named values as name and text, those inside others after the name of these.
export const flatFigures = (values, currency) => new Map(rows(values, currency).map((row) => [row.firstChild.textContent, row.lastChild.textContent]));

// Named values, those inside others after the name of these.
export const figureTable = (title, every, currency) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", {}, el("tbody", {}, every.flatMap((values) => rows(values, currency)))));
