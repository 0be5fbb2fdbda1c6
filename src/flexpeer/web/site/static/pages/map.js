// A DSO's own part of the grid, coloured by loading: by forecast and with the trades so far, hour by hour.
import { get } from "../api.js";
import { el, show } from "../html.js";
import { drawMap } from "../map.js";
import { table } from "../table.js";
import { number, t } from "../text.js";

const AGAIN_MS = 5000;
const SHOWN = 8;
const chosen = { mtu: null, state: "before" };
let later = null;

function say({ time, state, over, past, top }) {
  const when = state === "before" ? t("by forecast") : t("with the trades so far");
  const highest = top ? ` ${t("Highest: {name} at {loading} %.", { name: top.name, loading: number(top.loading, 1) })}` : "";
  return `${time}, ${when}. ${t("Past their rating: {over} of the branches drawn; past a limit: {past} of the buses and connections.", { over: number(over, 0), past: number(past, 0) })}${highest}`;
}

// Our own drawing, read as a picture: nothing in it is ever run.
const picture = (text) => document.importNode(new DOMParser().parseFromString(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '), "image/svg+xml").documentElement, true);

function legend(areas) {
  const key = (css, text) => el("li", {}, el("span", { class: `swatch ${css}` }), text);
  return el("ul", { class: "legend swatches" }, key("line l0", t("up to 25 %")), ["50", "75", "90", "100"].map((share, n) => key(`line l${n + 1}`, `${share} %`)),
    key("line l5", t("past its rating")), key("line lx", t("no rating")), key("line out", t("out of service")), key("dot past", t("bus or connection past a limit")),
    areas.map(([owner, css]) => key(`area ${css}`, owner)));
}

function figure(map) {
  const state = (value, text) => el("label", { class: "choice" }, el("input", { type: "radio", name: "state", value, checked: chosen.state === value, onchange: () => { chosen.state = value; } }), text);
  const slider = el("input", { type: "range", min: "0", max: String(map.times.length - 1), value: String(chosen.mtu ?? map.data.worst), "aria-label": t("Time"), oninput: (event) => { chosen.mtu = Number(event.target.value); } });
  const drawings = map.drawings.map(picture);
  drawings.forEach((drawn) => drawn.setAttribute("aria-label", t("Map of the grid, {buses} buses; the line above says what it shows", { buses: number(map.buses, 0) })));
  map.data.branches.forEach((branch, n) => drawings.forEach((drawn) => {
    const title = drawn.querySelector(`[data-b="${branch}"] title`);
    if (title) title.textContent = `${map.data.names[n]} (${t(map.data.kinds[n])})`;
  }));
  return el("figure", { class: "card map" },
    el("figcaption", {}, el("strong", {}, t("Loading of every branch")), " ", el("small", {}, t("grid side, current over rating"))),
    el("div", { class: "controls" }, el("fieldset", { class: "choices" }, el("legend", {}, t("State")), state("before", t("by forecast")), state("after", t("now"))),
      el("label", { class: "time" }, t("Time"), slider, el("output", {}))),
    el("p", { class: "readout", "aria-live": "polite" }),
    el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("Map of the grid") }, drawings), legend(map.areas));
}

// The most loaded branches of the day, and when they are.
function stressed({ data, times }) {
  const highest = (row) => row.reduce((best, loading, mtu) => (loading > row[best] ? mtu : best), 0);
  const told = (row) => `${number(row[highest(row)], 1)} %, ${times[highest(row)]}`;
  return data.names.map((name, n) => ({ name, before: data.before[n], after: data.after[n] })).map((row) => ({ ...row, most: Math.max(...row.before, ...row.after) }))
    .filter((row) => row.most >= 0).sort((a, b) => b.most - a.most).slice(0, SHOWN).map((row) => ({ name: row.name, before: told(row.before), after: told(row.after) }));
}

export async function draw(root, { market, refresh }) {
  clearTimeout(later);
  const answer = await fetch(`/drawings/map?market=${encodeURIComponent(market.id)}`, { cache: "no-store" });
  const map = answer.ok ? await answer.json() : null;
  if (!map) {
    show(root, el("p", { class: "soft" }, t("There is no map: this market has no grid of yours, or its forecast has no power flow. Bring a grid and a forecast under “My grid”.")));
    return;
  }
  const held = document.activeElement && document.activeElement.type === "range" && root.contains(document.activeElement);
  const drawn = figure(map);
  show(root, el("p", { class: "soft" }, t("Your own part: {buses} buses and {branches} branches; drawn are {drawn}.", { buses: number(map.buses, 0), branches: number(map.branches, 0), drawn: number(map.data.branches.length, 0) })), drawn,
    table(t("Most loaded branches of the day (grid side)"), [
      [t("Branch"), (row) => row.name, true],
      [t("Highest by forecast"), (row) => row.before],
      [t("Highest now"), (row) => row.after],
    ], stressed(map), t("No branch has a rating.")));
  drawMap(drawn, map.data, map.times, say);
  if (held) drawn.querySelector("input[type=range]").focus();
  if (map.late) later = setTimeout(refresh, AGAIN_MS);
}
