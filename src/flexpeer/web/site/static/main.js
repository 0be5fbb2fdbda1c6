// One page: its market, what is drawn, and what draws it again when something happens there.
import { all, get } from "./api.js";
import { drawClock, keepTime } from "./clock.js";
import { el, meta, show } from "./html.js";
import { t } from "./text.js";

const TYPES = ["StageReached", "OrderPlaced", "OrderAmended", "OrderWithdrawn", "OrderKilled", "OrderExpired", "TradeConcluded",
  "CommandRefused", "VerdictRecorded", "NeedPublished", "TradesConfirmed", "SettlementIssued", "KpisReported", "GridChecked", "ProductChecked"];
const PAUSE_MS = 250;
const CHOSEN = "market";
const days = document.getElementById("days");
const main = document.getElementById("main");
const content = document.getElementById("content");
const told = document.getElementById("told");

export function tell(text, kind = "") {
  told.className = `told ${kind}`;
  told.textContent = text;
}

// The day that is chosen, else the one whose gate is open, else the last; with several there is a choice.
async function choose() {
  const markets = await all("/api/Markets", { hash: false });
  const wanted = new URLSearchParams(location.search).get("market") || sessionStorage.getItem(CHOSEN);
  const market = markets.find(({ id }) => id === wanted) || markets.find(({ status }) => status === "open") || markets[markets.length - 1];
  if (markets.length > 1 && days.dataset.of !== markets.length + market.id) {
    days.dataset.of = markets.length + market.id;
    const select = el("select", { onchange: (event) => {
      sessionStorage.setItem(CHOSEN, event.target.value);
      location.assign(location.pathname);
    } }, markets.map(({ id, status }) => el("option", { value: id, selected: id === market.id }, `${id}, ${t(status)}`)));
    show(days, el("label", {}, t("Delivery day"), select));
    days.hidden = false;
  }
  return market;
}

// What every page needs, asked for before its module is there.
let ahead = Promise.all([choose(), get("/api/clock")]);
ahead.catch(() => {});

async function started() {
  const page = await import(`./pages/${main.dataset.page}.js`);
  let market = null;
  const context = { role: meta("role"), organisation: meta("organisation"), user: meta("user"), tell, refresh: () => draw() };
  let [drawing, again, waiting] = [false, false, null];
  async function draw() {
    waiting = null;
    if (drawing) {
      again = true;
      return;
    }
    drawing = true;
    try {
      const [found, clock] = await (ahead || Promise.all([choose(), get("/api/clock")]));
      market = found;
      drawClock(market, clock, tell, () => draw());
      await page.draw(content, { ...context, market, clock });
    } catch (error) {
      show(content, el("p", { class: "bad", role: "alert" }, error.told || error.message));
    }
    ahead = null;
    main.removeAttribute("aria-busy");
    drawing = false;
    if (again) {
      again = false;
      soon();
    }
  }
  function soon() {
    if (document.hidden || (page.still && page.still())) return;
    waiting = waiting || setTimeout(draw, PAUSE_MS);
  }
  await draw();
  keepTime(tell);
  const events = new EventSource(`/api/events?marketId=${encodeURIComponent(market.id)}&after=${market.events}`);
  (page.follows || TYPES).forEach((type) => events.addEventListener(type, soon));
  document.addEventListener("visibilitychange", soon);
}

started().catch((error) => {
  main.removeAttribute("aria-busy");
  show(content, el("p", { class: "bad", role: "alert" }, error.message));
});
