// The open book as everybody sees it, nobody's orders; it follows the market order by order.
import { bookPicture } from "../draw.js";
import { el, show } from "../html.js";
import { openOrders } from "../parts.js";
import { number, t } from "../text.js";

const DRAW_MS = 100;
const PICTURE_MS = 1000;
const chosen = { regulation: "" };
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

export async function draw(root, { market }) {
  if (stream) stream.close();
  const book = new Map();
  const head = el("p", { role: "status" });
  const [picture, list] = [el("div"), el("div")];
  const found = () => [...book.values()].filter((order) => !chosen.regulation || relief(order) === chosen.regulation);
  function look() {
    const orders = found();
    const search = list.querySelector("input[type=search]");
    const held = list.contains(document.activeElement) || Boolean(search && search.value);
    head.textContent = `${t("{count} open orders.", { count: number(orders.length, 0) })} ${held ? t("The list is held while you are in it.") : ""}`;
    if (!held) show(list, openOrders(orders, market, t("No order is open. Orders come with “New order”, while the gate is open.")));
    root.dataset.drawn = String(orders.length);
  }
  const [soon, later] = [atMost(DRAW_MS, look), atMost(PICTURE_MS, () => show(picture, bookPicture(found())))];
  const select = el("select", { onchange: (event) => { chosen.regulation = event.target.value; soon(); later(); } },
    [["", t("both directions")], ["Up", t("relief by Up")], ["Down", t("relief by Down")]].map(([value, text]) => el("option", { value, selected: value === chosen.regulation }, text)));
  show(root, el("div", { class: "tools" }, el("label", {}, t("Direction"), select), head), picture, list);
  stream = new EventSource(`/api/PublicOrders/stream?marketId=${encodeURIComponent(market.id)}`);
  await new Promise((begun) => {
    stream.addEventListener("book", (event) => {
      const change = JSON.parse(event.data);
      if (change.whole) book.clear();
      for (const { key, order } of change.orders) book.set(key, order);
      for (const key of change.gone || []) book.delete(key);
      soon();
      later();
      if (change.whole) begun();
    });
    stream.addEventListener("error", begun);
  });
}
