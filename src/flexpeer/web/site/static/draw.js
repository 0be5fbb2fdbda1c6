// Pictures: what a point needs through a day, and the two curves of a book.
import { el, svg } from "./html.js";
import { mw, number, t, time } from "./text.js";

const WIDTH = 360;
const HEIGHT = 120;
const LEFT = 40;
const BASE = 100;
const MOST_STEPS = 400;

// One value for each market time unit of the day from rows that hold for a period.
export function spread(rows, market, field) {
  const start = Date.parse(market.periodFrom);
  const step = market.mtuMinutes * 60000;
  const values = new Array(Math.round((Date.parse(market.periodTo) - start) / step)).fill(0);
  for (const row of rows) {
    for (let at = Date.parse(row.periodFrom); at < Date.parse(row.periodTo); at += step) {
      values[Math.round((at - start) / step)] = Number(row[field]);
    }
  }
  return values;
}

export const energy = (values, market) => (values.reduce((sum, value) => sum + value, 0) * market.mtuMinutes) / 60;

function area(values, most) {
  const x = (place) => LEFT + ((WIDTH - LEFT) * place) / values.length;
  const y = (value) => BASE - ((BASE - 12) * value) / most;
  let path = `M${LEFT} ${BASE}`;
  values.forEach((value, place) => {
    path += `L${x(place).toFixed(1)} ${y(value).toFixed(1)}L${x(place + 1).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return `${path}L${WIDTH} ${BASE}Z`;
}

export function needPicture(need, left, market, name) {
  const most = Math.max(...need, ...left, 0.001);
  const ticks = [0, 6, 12, 18].map((hour) => {
    const at = new Date(Date.parse(market.periodFrom) + hour * 3600000);
    const x = LEFT + ((WIDTH - LEFT) * hour * 60) / market.mtuMinutes / need.length;
    return svg("text", { x, y: BASE + 15 }, time(at, market.timezone));
  });
  const label = t("{name}: at most {need} needed, at most {left} left", { name, need: mw(Math.max(...need)), left: mw(Math.max(...left)) });
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    svg("path", { class: "need", d: area(need, most) }),
    svg("path", { class: "left", d: area(left, most) }),
    svg("path", { class: "axis", d: `M${LEFT} ${BASE}H${WIDTH}` }),
    svg("text", { x: 0, y: 18 }, number(most, 1)),
    svg("text", { x: 0, y: BASE }, "0 MW"),
    ticks,
  );
}

// Offers from the cheapest, bids from the dearest, as MW over price.
export function bookPicture(orders) {
  const curve = (side, sign) => {
    const own = orders.filter((order) => order.side === side).sort((a, b) => sign * (a.unitPrice - b.unitPrice));
    let sum = 0;
    return own.map((order) => [Number(order.unitPrice), (sum += Number(order.quantity))]);
  };
  const sells = curve("Sell", 1);
  const buys = curve("Buy", -1);
  const points = [...sells, ...buys];
  if (!points.length) return null;
  const low = points.reduce((least, [price]) => Math.min(least, price), Infinity);
  const high = points.reduce((highest, [price]) => Math.max(highest, price), -Infinity);
  const most = points.reduce((highest, [, sum]) => Math.max(highest, sum), 0);
  const x = (sum) => LEFT + ((WIDTH - LEFT - 8) * sum) / most;
  const y = (price) => BASE - ((BASE - 12) * (price - low)) / (high - low || 1);
  const steps = (pairs) => {
    let path = "";
    let before = 0;
    const kept = pairs.length <= MOST_STEPS ? pairs : pairs.filter((_, place) => place % Math.ceil(pairs.length / MOST_STEPS) === 0 || place === pairs.length - 1);
    for (const [price, sum] of kept) {
      path += `${path ? "L" : "M"}${x(before).toFixed(1)} ${y(price).toFixed(1)}L${x(sum).toFixed(1)} ${y(price).toFixed(1)}`;
      before = sum;
    }
    return path;
  };
  return el(
    "figure",
    { class: "card book" },
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": t("Offers and bids: MW over price") },
      svg("path", { class: "axis", d: `M${LEFT} ${BASE}H${WIDTH}` }),
      svg("path", { class: "curve sell", d: steps(sells) }),
      svg("path", { class: "curve buy", d: steps(buys) }),
      svg("text", { x: 0, y: 16 }, number(high, 0)),
      svg("text", { x: 0, y: BASE }, number(low, 0)),
      svg("text", { x: WIDTH, y: BASE + 15, "text-anchor": "end" }, mw(most)),
    ),
    el("ul", { class: "legend" }, el("li", { class: "s" }, t("Offers (SELL), per MWh of the resource")), el("li", { class: "b" }, t("Bids (BUY), per MWh of the resource"))),
  );
}

// What flows through a point by forecast and now, against its limit: MW in the loading direction, grid side.
export function flowPicture(flow, market, name) {
  const rows = [flow.before, flow.now, flow.limit].map((row) => row.map((value) => (value === null ? NaN : Number(value))));
  const values = rows.flat().filter(Number.isFinite);
  const low = Math.min(0, ...values);
  const high = Math.max(...values, 0.001);
  const y = (value) => BASE - ((BASE - 12) * (value - low)) / (high - low);
  const line = (row, css) => {
    let path = "";
    let drawn = false;
    row.forEach((value, place) => {
      const [from, to] = [place, place + 1].map((at) => (LEFT + ((WIDTH - LEFT) * at) / row.length).toFixed(1));
      if (Number.isFinite(value)) path += `${drawn ? "L" : "M"}${from} ${y(value).toFixed(1)}L${to} ${y(value).toFixed(1)}`;
      drawn = Number.isFinite(value);
    });
    return svg("path", { class: `curve ${css}`, d: path });
  };
  const most = (row) => mw(Math.max(...row.filter(Number.isFinite), low));
  const label = t("{name}: at most {before} by forecast, {now} now, limit {limit}", { name, before: most(rows[0]), now: most(rows[1]), limit: most(rows[2]) });
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT - 14}`, role: "img", "aria-label": label },
    svg("path", { class: "axis", d: `M${LEFT} ${y(0).toFixed(1)}H${WIDTH}` }), line(rows[0], "forecast"), line(rows[1], "now"), line(rows[2], "limit"),
    svg("text", { x: 0, y: 18 }, number(high, 1)), svg("text", { x: 0, y: y(0) + 4 }, "0 MW"));
}
