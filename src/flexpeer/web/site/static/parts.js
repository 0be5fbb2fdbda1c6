// Parts that pages of organisations and the public page share.
import { el, status } from "./html.js";
import { table } from "./table.js";
import { hours, money, moment, mw, number, t } from "./text.js";

export function dayStages(market) {
  const next = market.timeline.find((stage) => !stage.reached);
  return el("ol", { class: "stages" }, market.timeline.slice(1).map((stage) =>
    el("li", { class: stage.reached ? "done" : stage === next ? "next" : null, "aria-current": stage === next ? "step" : null },
      status(stage.reached ? "good" : stage === next ? "on" : "", t(stage.stage)),
      el("small", {}, moment(stage.at, market.timezone)))));
}

export function openOrders(orders, market, nothing) {
  const when = (order) => hours(order.periodFrom, order.periodTo, market.timezone);
  return table(t("Open orders, in order of arrival"), [
    [t("Side"), (order) => t(order.side), true, (order) => `${order.side} ${t(order.side)}`],
    [t("Regulation"), (order) => t(order.regulationType), true, (order) => t(order.regulationType)],
    [t("Hours"), when, true, when],
    [t("Quantity (resource side)"), (order) => mw(order.quantity)],
    [t("Price per MWh"), (order) => money(order.unitPrice, market.currency)],
    [t("Congestion point"), (order) => order.flexibilityZoneId || t("all that it relieves"), true, (order) => order.flexibilityZoneId || ""],
  ], orders, nothing);
}

function rows(values, path = "") {
  return Object.entries(values).flatMap(([name, value]) => {
    const title = path ? `${path}: ${t(name.replaceAll("_", " "))}` : t(name.replaceAll("_", " "));
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return rows(value, title);
    const shown = value === null ? "–" : typeof value === "number" ? number(value, 4) : Array.isArray(value) ? value.join(", ") || "–" : String(value);
    return [el("tr", {}, el("th", { scope: "row", class: "text" }, title), el("td", {}, shown))];
  });
}

// Named values, those inside others after the name of these.
export const figureTable = (title, every) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", {}, el("tbody", {}, every.flatMap((values) => rows(values)))));
