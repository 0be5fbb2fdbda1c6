// Orders and what has become of them; amended and withdrawn here.
import { all, ask, get } from "../api.js";
import { el, redraw, status } from "../html.js";
import { table } from "../table.js";
import { hours, money, mw, t } from "../text.js";

let editing = false;
export const still = () => editing;

const KINDS = { Active: "on", Completed: "good", Deleted: "", Rejected: "bad" };
const state = (order) => {
  const text = order.completionType ? t(order.completionType) : t(order.status);
  const kind = order.completionType === "Filled" ? "good" : order.completionType ? "warn" : KINDS[order.status] || "";
  return status(kind, Number(order.filledQuantity) > 0 && order.completionType !== "Filled" ? `${text}, ${t("partly filled")}` : text);
};

async function etag(order) {
  return (await ask("GET", `/api/Orders/${encodeURIComponent(order.id)}`)).etag;
}

function amend(order, context) {
  const point = order.pricePoints[0];
  const quantity = el("input", { inputmode: "decimal", required: true, value: String(point.quantity) });
  const price = el("input", { inputmode: "decimal", required: true, value: String(point.unitPrice) });
  const said = el("p", { role: "alert", class: "bad" });
  const dialog = el("dialog", { "aria-label": t("Amend") }, el("form", { method: "dialog", onsubmit: async (event) => {
    event.preventDefault();
    if (event.submitter && event.submitter.value === "no") {
      dialog.close();
      return;
    }
    const exact = (input) => input.value.trim().replace(/\s/g, "").replace(",", ".");
    try {
      await ask("PATCH", `/api/Orders/${encodeURIComponent(order.id)}`, `{"pricePoints":[{"quantity":${exact(quantity)},"unitPrice":${exact(price)}}]}`, { "Content-Type": "application/json", "If-Match": await etag(order) });
      dialog.close();
      context.tell(t("Amended."), "good");
    } catch (error) {
      said.textContent = `${error.message} ${error.accepted ? t("Accepted would be: {what}", { what: error.accepted }) : ""}`;
    }
  } }, el("h2", {}, t("Amend {order}", { order: order.id })), el("p", { class: "soft" }, t("A lower quantity keeps the order's place; anything else puts it last.")),
  el("label", {}, t("Quantity in MW (resource side)"), quantity), el("label", {}, t("Price per MWh"), price), said,
  el("div", { class: "tools" }, el("button", { value: "no", formnovalidate: true }, t("Cancel")), el("button", { class: "main", value: "yes" }, t("Amend")))));
  document.body.append(dialog);
  editing = true;
  dialog.addEventListener("close", () => { editing = false; dialog.remove(); context.refresh(); });
  dialog.showModal();
}

async function withdraw(order, context) {
  if (!confirm(t("Withdraw what is left of {order}?", { order: order.id }))) return;
  try {
    await ask("DELETE", `/api/Orders/${encodeURIComponent(order.id)}`);
    context.tell(t("Withdrawn."), "good");
  } catch (error) {
    context.tell(error.message, "bad");
  }
  context.refresh();
}

const FIRST = 100;
// All that one may see: the newest first of all, the others behind the drawn page; then what has changed since.
const known = { market: null, since: undefined, orders: new Map() };

const add = (orders) => orders.forEach((order) => known.orders.set(order.id, order));

async function latest(market, refresh) {
  const query = { marketId: market.id, newest: true };
  if (known.market !== market.id) {
    Object.assign(known, { market: market.id, since: market.events, orders: new Map() });
    const first = await get("/api/Orders", { ...query, take: FIRST });
    add(first.items);
    if (first.links.length) all("/api/Orders", query).then((orders) => { add(orders.filter(({ id }) => !known.orders.has(id))); refresh(); }, () => { known.market = null; });
  } else {
    add(await all("/api/Orders", { ...query, changedAfter: known.since }));
    known.since = market.events;
  }
  return [...known.orders.values()].sort((a, b) => b.arrival - a.arrival);
}

export async function draw(root, context) {
  const { market, organisation } = context;
  const own = (order) => order.ownerOrganizationId === organisation && order.status === "Active" && market.status === "open";
  const orders = await latest(market, context.refresh);
  redraw(root, table(t("Orders, the latest first"), [
    [t("No."), (order) => String(order.arrival)],
    [t("Order"), (order) => order.id, true, (order) => order.id],
    [t("Resource"), (order) => order.portfolioId, true, (order) => `${order.portfolioId} ${order.ownerOrganizationId}`],
    [t("Side"), (order) => t(order.side), true, (order) => t(order.side)],
    [t("Hours"), (order) => hours(order.periodFrom, order.periodTo, market.timezone), true],
    [t("Quantity (resource side)"), (order) => order.pricePoints.map((point) => el("div", {}, mw(point.quantity)))],
    [t("Price per MWh"), (order) => order.pricePoints.map((point) => el("div", {}, money(point.unitPrice, market.currency)))],
    [t("Filled"), (order) => mw(order.filledQuantity)],
    [t("Status"), state, true, (order) => `${t(order.status)} ${order.completionType ? t(order.completionType) : ""}`],
    ["", (order) => (own(order) ? [el("button", { type: "button", onclick: () => amend(order, context), disabled: order.pricePoints.length > 1 }, t("Amend")), el("button", { type: "button", onclick: () => withdraw(order, context) }, t("Withdraw"))] : ""), true],
  ], orders, t("No orders yet. Place the first one with “New order”."), (order) => order.id));
}
