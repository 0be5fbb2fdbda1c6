// The open book as everybody sees it, nobody's orders; it follows the market order by order.
import { bookPicture } from "../draw.js";
import { el, redraw, show } from "../html.js";
import { openOrders } from "../parts.js";
import { number, t } from "../text.js";

const DRAW_MS = 50;
const PICTURE_MS = 1000;
const chosen = { regulation: "", latest: true };
let stream = null;
export const still = () => stream !== null;

const relief = (order) => (order.side === "Sell" ? order.regulationType : order.regulationType === "Up" ? "Down" : "Up");

// Does something soon, and no more often than this; the first time at once.
function atMost(pause, act) {
  let [waiting, last] = [null, -Infinity];
  const run = () => {
    [waiting, last] = [null, performance.now()];
    act();
  };
  return () => {
    if (waiting !== null) return;
    const left = last + pause - performance.now();
    if (left <= 0) run();
    else waiting = setTimeout(run, left);
  };
}

function choice(title, options, value, change) {
  const select = el("select", { onchange: (event) => change(event.target.value) }, options.map(([name, text]) => el("option", { value: name, selected: name === value }, text)));
  return el("label", {}, title, select);
}

export async function draw(root, { market }) {
  if (stream) stream.close();
  const book = new Map();
  const head = el("p");
  const picture = el("div");
  const list = openOrders([], market, t("No order is open. Orders come with “New order”, while the gate is open."), (order) => order.key);
  const found = () => [...book.values()].filter((order) => !chosen.regulation || relief(order) === chosen.regulation);
  function look() {
    const orders = found();
    head.textContent = t("{count} open orders.", { count: number(orders.length, 0) });
    list.live.set(chosen.latest ? orders.reverse() : orders);
    root.dataset.drawn = String(orders.length);
  }
  const [soon, later] = [atMost(DRAW_MS, look), atMost(PICTURE_MS, () => redraw(picture, bookPicture(found())))];
  show(root, el("div", { class: "tools" },
    choice(t("Direction"), [["", t("both directions")], ["Up", t("relief by Up")], ["Down", t("relief by Down")]], chosen.regulation, (value) => { chosen.regulation = value; soon(); later(); }),
    choice(t("Order of rows"), [["latest", t("the latest first")], ["first", t("first come, first")]], chosen.latest ? "latest" : "first", (value) => { chosen.latest = value === "latest"; soon(); }), head), picture, list);
  stream = new EventSource(`/api/PublicOrders/stream?marketId=${encodeURIComponent(market.id)}`);
  await new Promise((begun) => {
    stream.addEventListener("book", (event) => {
      const change = JSON.parse(event.data);
      if (change.whole) book.clear();
      for (const { key, order } of change.orders) book.set(key, Object.assign(order, { key }));
      for (const key of change.gone || []) book.delete(key);
      soon();
      later();
      if (change.whole) begun();
    });
    stream.addEventListener("error", begun);
  });
}
