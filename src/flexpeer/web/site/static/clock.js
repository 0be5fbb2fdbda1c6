// The market's time, which goes on between two answers; in a virtual market everybody sees how fast, and its operator steers it.
import { ask, get } from "./api.js";
import { el, meta, show, status } from "./html.js";
import { moment, number, t } from "./text.js";

const TICK_MS = 1000;
const ASK_MS = 5000;
const SPEEDS = [1, 10, 60, 120, 600, 3600];
const HOUR_MS = 3600000;
const shown = document.getElementById("clock");
const bar = document.getElementById("clock-bar");
let known = null;
let drawn = "";

const running = () => new Date(Date.parse(known.clock.now) + (Date.now() - known.at) * known.clock.speed * (known.clock.virtual ? 1 : 0));

function tick() {
  if (known) shown.textContent = moment(running(), known.market.timezone);
}

function pace({ virtual, speed }) {
  if (!virtual) return null;
  return speed > 0 ? status("on", t("virtual clock, {speed} times as fast as real time", { speed: number(speed, 1) })) : status("warn", t("virtual clock, paused"));
}

async function move(event, body, tell) {
  event.target.disabled = true;
  bar.setAttribute("aria-busy", "true");
  tell(t("Moving the clock; what is due happens now ..."));
  try {
    known = { ...known, clock: (await ask("POST", "/api/clock", body)).document, at: Date.now() };
    tell(t("The clock has moved."));
  } catch (error) {
    tell(error.message, "bad");
  }
  bar.removeAttribute("aria-busy");
  drawn = "";
  known.refresh();
}

function tools(market, clock, tell) {
  const button = (text, body, disabled = false) => el("button", { type: "button", disabled, onclick: (event) => move(event, body(), tell) }, text);
  const next = market.timeline.find((stage) => !stage.reached);
  const faster = SPEEDS.find((speed) => speed > clock.speed);
  const slower = SPEEDS.findLast((speed) => speed < clock.speed);
  const start = SPEEDS[3];
  return el("span", { class: "tools" },
    clock.speed > 0 ? button(t("Pause"), () => ({ speed: 0 })) : button(t("Run"), () => ({ speed: start })),
    button(t("Slower"), () => ({ speed: slower }), clock.speed === 0 || slower === undefined),
    button(t("Faster"), () => ({ speed: faster }), clock.speed === 0 || faster === undefined),
    next && button(t("On to: {stage}", { stage: t(next.stage) }), () => ({ to: next.at })),
    button(t("One hour on"), () => ({ to: new Date(Math.floor((running().getTime() + HOUR_MS) / 60000) * 60000).toISOString() })));
}

// Draws the time and, where it is virtual, the bar; only anew when it says something else.
export function drawClock(market, clock, tell, refresh) {
  known = { market, clock, refresh, at: Date.now() };
  tick();
  const next = market.timeline.find((stage) => !stage.reached);
  const says = JSON.stringify([clock.virtual, clock.speed, next && next.stage]);
  if (says === drawn || bar.hasAttribute("aria-busy")) return;
  drawn = says;
  const held = bar.contains(document.activeElement) ? document.activeElement.textContent : null;
  bar.hidden = !clock.virtual;
  show(bar, pace(clock), meta("role") === "MARKET_OPERATOR" ? tools(market, clock, tell) : el("small", {}, t("The market operator moves it.")));
  const buttons = [...bar.querySelectorAll("button:enabled")];
  if (held !== null && buttons.length) (buttons.find((button) => button.textContent === held) || buttons[0]).focus();
}

// Ticks, and asks now and then, since nobody is told of another speed.
export function keepTime(tell) {
  setInterval(tick, TICK_MS);
  setInterval(async () => {
    if (!known || !known.clock.virtual || document.hidden || bar.hasAttribute("aria-busy")) return;
    try {
      drawClock(known.market, await get("/api/clock"), tell, known.refresh);
    } catch {
      // The next page or event says what is wrong.
    }
  }, ASK_MS);
}
