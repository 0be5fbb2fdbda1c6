// What a market operator watches: the day's stages and which are late, health, the clearing, the rules.
import { all, get } from "../api.js";
import { el, redraw, status } from "../html.js";
import { dayStages, figureTable } from "../parts.js";
import { table } from "../table.js";
import { moment, mwh, number, t } from "../text.js";

const SLOW_SYNC_S = 1;
const LONG_QUEUE = 100;

function stages(market) {
  return table(t("Stages of the day"), [
    [t("Stage"), (row) => t(row.stage), true],
    [t("Due"), (row) => moment(row.at, market.timezone), true],
    [t("State"), (row) => (row.reached ? status("good", t("done")) : Date.parse(row.at) < Date.parse(market.now) ? status("bad", t("late")) : status("", t("to come"))), true],
  ], market.timeline.slice(1), "");
}

const seconds = (value) => t("{seconds} s", { seconds: number(value, 3) });

function service(health, clock, market) {
  const { store } = health;
  const rows = [
    [t("Writer and stages"), health.problems.length ? status("bad", health.problems.map((each) => t(each)).join("; ")) : status("good", t("ready"))],
    [t("Late stages"), health.late.length ? health.late.map((row) => el("div", {}, status("bad", `${row.marketId}: ${t(row.stage)}, ${moment(row.due, market.timezone)}`))) : status("good", t("none"))],
    [t("Clock"), clock.virtual ? status(clock.speed > 0 ? "on" : "warn", clock.speed > 0 ? t("virtual clock, {speed} times as fast as real time", { speed: number(clock.speed, 1) }) : t("virtual clock, paused")) : status("good", t("real time"))],
    [t("Store"), status(store.lastSeconds > SLOW_SYNC_S ? "warn" : "good", t("{kind}; durable {ago} ago, which took {last} (longest {longest})", { kind: store.kind, ago: store.sinceSeconds === undefined ? "–" : seconds(store.sinceSeconds), last: seconds(store.lastSeconds), longest: seconds(store.longestSeconds) }))],
    [t("Requests that wait for the writer"), status(health.queue > LONG_QUEUE ? "warn" : "good", number(health.queue, 0))],
    [t("Orders that wait for their sweep"), status(market.line > LONG_QUEUE ? "warn" : "good", number(market.line, 0))],
    [t("Events in the log"), number(market.events, 0)],
    [t("Open streams"), number(health.streams, 0)],
  ];
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("Health of the service") }, el("table", {}, el("caption", {}, t("Health of the service")), el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row", class: "text" }, name), el("td", { class: "text" }, value))))));
}

function owners(health, market) {
  const answering = (row) => (row.silent ? status("bad", t("silent: it did not answer the last")) : row.answers ? status("good", t("answers")) : status("", t("not asked yet")));
  return table(t("Grid owners of the day"), [
    [t("DSO"), (row) => row.dso, true, (row) => row.dso],
    [t("State"), answering, true],
    [t("Checks with"), (row) => (row.hasGrid ? t("its own grid") : t("impact factors")), true],
    [t("Asked"), (row) => number(row.answers, 0)],
    [t("Refused"), (row) => number(row.refused, 0)],
    [t("Unanswered"), (row) => number(row.unanswered, 0)],
    [t("Last match"), (row) => (row.lastMatch === undefined ? "–" : String(row.lastMatch))],
  ], health.owners.filter((row) => row.marketId === market.id), t("No DSO is registered."));
}

function webhooks(health) {
  return table(t("Webhooks by organisation"), [
    [t("Organisation"), (row) => row.ownerOrganizationId, true],
    [t("Webhooks"), (row) => number(row.webhooks, 0)],
    [t("Events to be sent"), (row) => status(row.behind > LONG_QUEUE ? "warn" : "good", number(row.behind, 0))],
    [t("Given up"), (row) => status(row.deadLetters ? "bad" : "good", number(row.deadLetters, 0))],
  ], health.webhooks, t("Nobody has a webhook. Programs ask for theirs with POST /api/Webhooks."));
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
  const [markets, trades, health, cleared] = await Promise.all([all("/api/Markets", { hash: false }), all("/api/Trades", query), get("/api/Health"), all("/api/Clearings", query)]);
  const volume = trades.reduce((sum, trade) => sum + (Number(trade.quantity) * (Date.parse(trade.periodTo) - Date.parse(trade.periodFrom))) / 3600000, 0);
  redraw(root, dayStages(market), el("div", { class: "two" }, service(health, clock, market), stages(market)),
    el("h2", {}, t("Grid owners")), owners(health, market), el("h2", {}, t("Webhooks")), webhooks(health),
    el("p", {}, t("{count} trades, {volume} so far (resource side).", { count: number(trades.length, 0), volume: mwh(volume) })),
    el("h2", {}, t("Clearing")), clearing(cleared, market), rules(markets));
}
