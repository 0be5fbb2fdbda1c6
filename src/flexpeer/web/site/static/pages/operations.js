// What a market operator watches: the day's stages and which are late, health, the clearing, the rules.
import { all, get } from "../api.js";
import { el, show, status } from "../html.js";
import { dayStages, figureTable } from "../parts.js";
import { table } from "../table.js";
import { moment, mwh, number, t } from "../text.js";

async function health() {
  const answer = await fetch("/readyz", { cache: "no-store" });
  const told = await answer.json();
  return { ready: answer.ok, problems: told.problems || [] };
}

function stages(market) {
  return table(t("Stages of the day"), [
    [t("Stage"), (row) => t(row.stage), true],
    [t("Due"), (row) => moment(row.at, market.timezone), true],
    [t("State"), (row) => (row.reached ? status("good", t("done")) : Date.parse(row.at) < Date.parse(market.now) ? status("bad", t("late")) : status("", t("to come"))), true],
  ], market.timeline.slice(1), "");
}

function interfaces(ready, clock, market, trades) {
  const rows = [
    [t("Writer and stages"), ready.ready ? status("good", t("ready")) : status("bad", ready.problems.join("; "))],
    [t("Clock"), clock.virtual ? status(clock.speed > 0 ? "on" : "warn", clock.speed > 0 ? t("virtual clock, {speed} times as fast as real time", { speed: number(clock.speed, 1) }) : t("virtual clock, paused")) : status("good", t("real time"))],
    [t("Orders that wait for their sweep"), status(market.line > 100 ? "warn" : "good", number(market.line, 0))],
    [t("Events in the log"), number(market.events, 0)],
    [t("Grid owners"), market.hasGrid ? status("good", t("each answers with its own grid")) : status("good", t("impact factors only"))],
    [t("Trades"), number(trades.length, 0)],
  ];
  return el("div", { class: "scroll" }, el("table", {}, el("caption", {}, t("Health")), el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row", class: "text" }, name), el("td", { class: "text" }, value))))));
}

function clearing(cleared, market) {
  return table(t("Clearings at the gate, with their certificates"), [
    [t("Match"), (row) => String(row.match)],
    [t("Distance from the optimum, at most"), (row) => t("{ppm} ppm of its gain", { ppm: number(row.gapPpm, 0) })],
    [t("How the search ended"), (row) => row.status.toLowerCase(), true],
    [t("Trades"), (row) => number(row.trades, 0)],
    [t("Moved (resource side)"), (row) => mwh(row.volume)],
    [t("Grid owners"), (row) => row.verdicts.map((verdict) => el("div", {}, status(verdict.decision === "GRANTED" ? "good" : "bad", `${verdict.dso}: ${t(verdict.decision.toLowerCase())}`))), true],
  ], cleared, market.status === "announced" || market.status === "open" ? t("The clearing runs when the gate has closed.") : t("Nothing was left that a clearing could trade."));
}

function rules(markets) {
  const names = Object.keys(markets[0].rulebook);
  const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value === null ? "–" : String(value));
  const changes = markets.slice(1).flatMap((market, n) => names.filter((name) => text(market.rulebook[name]) !== text(markets[n].rulebook[name])).map((name) => ({ day: market.id, name, from: text(markets[n].rulebook[name]), to: text(market.rulebook[name]) })));
  return el("section", {}, el("h2", {}, t("Rulebook")), el("p", {}, t("Each day has the rulebook it was opened with. Days here: {count}, the first {first}.", { count: markets.length, first: markets[0].id })),
    table(t("What changed from one day to the next"), [
      [t("Delivery day"), (row) => row.day, true], [t("Rule"), (row) => t(row.name.replaceAll("_", " ")), true], [t("Before"), (row) => row.from, true], [t("Since then"), (row) => row.to, true],
    ], changes, t("No rule has changed.")),
    el("details", {}, el("summary", {}, t("All rules of {day}", { day: markets[markets.length - 1].id })), figureTable(t("Rulebook"), [markets[markets.length - 1].rulebook])));
}

export async function draw(root, { market, clock }) {
  const query = { marketId: market.id };
  const [markets, trades, ready, cleared] = await Promise.all([all("/api/Markets"), all("/api/Trades", query), health(), all("/api/Clearings", query)]);
  const volume = trades.reduce((sum, trade) => sum + (Number(trade.quantity) * (Date.parse(trade.periodTo) - Date.parse(trade.periodFrom))) / 3600000, 0);
  show(root, dayStages(market), el("div", { class: "two" }, interfaces(ready, clock, market, trades), stages(market)),
    el("p", {}, t("{count} trades, {volume} so far (resource side).", { count: number(trades.length, 0), volume: mwh(volume) })),
    el("h2", {}, t("Clearing")), clearing(cleared, market), rules(markets));
}
