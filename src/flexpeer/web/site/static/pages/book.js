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

export async function draw(root, { market }) {
  if (stream) stream.close();
  const book = new Map();
  const head = el("p", { role: "status" });
  const [picture, list] = [el("div"), el("div")];
  let waiting = null;
  let pictured = 0;
  function look() {
    waiting = null;
    const found = [...book.values()].filter((order) => !chosen.regulation || relief(order) === chosen.regulation);
    head.textContent = t("{count} open orders.", { count: number(found.length, 0) });
    const search = list.querySelector("input[type=search]");
    if (!search || (search !== document.activeElement && !search.value)) show(list, openOrders(found, market, t("No order is open. Orders come with “New order”, while the gate is open.")));
    if (performance.now() - pictured > PICTURE_MS) {
      pictured = performance.now();
      show(picture, bookPicture(found));
    } else waiting = setTimeout(look, PICTURE_MS);
    root.dataset.drawn = String(found.length);
  }
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(look, DRAW_MS); };
  const select = el("select", { onchange: (event) => { chosen.regulation = event.target.value; pictured = 0; look(); } },
    [["", t("both directions")], ["Up", t("relief by Up")], ["Down", t("relief by Down")]].map(([value, text]) => el("option", { value, selected: value === chosen.regulation }, text)));
  show(root, el("div", { class: "tools" }, el("label", {}, t("Direction"), select), head), picture, list);
  stream = new EventSource(`/api/PublicOrders/stream?marketId=${encodeURIComponent(market.id)}`);
  await new Promise((begun) => {
    stream.addEventListener("book", (event) => {
      const change = JSON.parse(event.data);
      if (change.whole) book.clear();
      for (const { key, order } of change.orders) book.set(key, order);
      for (const key of change.gone || []) book.delete(key);
      if (change.whole) {
        look();
        begun();
      } else if (waiting === null || performance.now() - pictured < PICTURE_MS) soon();
    });
    stream.addEventListener("error", begun);
  });
}
