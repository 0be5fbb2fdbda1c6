// The day at a glance: its stages, and for each congestion point what flows, is needed, covered and left; what it costs.
import { all, get } from "../api.js";
import { energy, flowPicture, needPicture, spread } from "../draw.js";
import { el, redraw, status } from "../html.js";
import { dayStages, until } from "../parts.js";
import { table } from "../table.js";
import { day, money, mw, mwh, number, percent, t } from "../text.js";

const ALMOST_ALL = 0.999;
const COSTS_MS = 5000;
export const follows = ["StageReached", "TradeConcluded", "NeedPublished", "TradesConfirmed", "SettlementIssued", "KpisReported"];

// What the day costs so far takes a while to find: it is shown when it is there, and asked for now and then.
const found = { market: null, told: null, at: -Infinity };

function costsSoFar(market, refresh) {
  if (found.market !== market.id) Object.assign(found, { market: market.id, told: null, at: -Infinity });
  const late = found.told && found.told.final !== (market.status === "settled");
  if (performance.now() - found.at < COSTS_MS && !late) return found.told;
  found.at = performance.now();
  get(`/api/Markets/${encodeURIComponent(market.id)}/costs`).then((told) => {
    const news = JSON.stringify(told) !== JSON.stringify(found.told);
    found.told = told;
    if (news) refresh();
  }, () => {});
  return found.told;
}

function card(name, rows, market, flow) {
  const need = spread(rows, market, "flexibilityNeed");
  const left = spread(rows, market, "residualNeed");
  const [wanted, still] = [energy(need, market), energy(left, market)];
  const first = rows[0];
  const covered = wanted ? status(still ? "warn" : "good", still ? t("{left} left", { left: mwh(still) }) : t("relieved by rule and trades")) : status("", t("no need"));
  return { wanted, still, node: el("article", { class: "card" },
    el("h3", {}, name), el("p", { class: "soft" }, `${first.dso}, ${t(first.direction)}, ${t("relieved by {direction}", { direction: t(first.regulationType) })}`),
    flow ? flowPicture(flow, market, name) : null, needPicture(need, left, market, name),
    el("p", {}, covered, ` ${t("of {need} (grid side), at most {most} at once", { need: mwh(wanted), most: mw(Math.max(...need)) })}`)) };
}

function costs(told, market) {
  const { kpi } = told;
  const rows = Object.entries(kpi.alternative_cost).map(([name, cost]) => ({ name, cost: Number(cost), ours: Number(kpi.cost_by_perspective[name].dso), ratio: kpi.cost_vs_grid_alternative[name], saving: kpi.saving[name], why: (kpi.null_reasons || {})[name] }));
  return el("section", {}, el("h2", {}, told.final ? t("What it cost") : t("What it costs so far")),
    el("p", { class: "soft" }, told.dsoPurchase === "automatic" && told.ceiling !== undefined ? t("After the gate DSOs buy what is still missing, at most at {price} per MWh.", { price: money(told.ceiling, market.currency) }) : t("DSOs buy with orders of their own.")),
    table(t("DSOs' cost of the market, against each alternative"), [
      [t("Alternative"), (row) => t(row.name.replaceAll("_", " ")), true],
      [t("It would cost"), (row) => money(row.cost, market.currency)],
      [t("The market costs"), (row) => money(row.ours, market.currency)],
      [t("Ratio"), (row) => (row.ratio === null || row.ratio === undefined ? `– ${row.why ? t(row.why) : ""}` : status(Number(row.ratio) < 1 ? "good" : "bad", number(row.ratio, 3))), true],
      [t("Saved"), (row) => (row.saving === null || row.saving === undefined ? "–" : money(row.saving, market.currency))],
    ], rows, t("No alternative is stated for this market.")));
}

export async function draw(root, { market, role, clock, refresh }) {
  const query = { marketId: market.id };
  const [dso, looks] = [role.endsWith("DSO"), role === "MARKET_OPERATOR" || role === "OBSERVER"];
  const published = market.status !== "announced";
  const told = (dso || looks) && published ? costsSoFar(market, refresh) : null;
  const [zones, trades, flows] = await Promise.all([
    all("/api/FlexibilityZones", query), role === "BRP" ? null : all("/api/Trades", query),
    dso && published ? all("/api/Flows", query).catch(() => []) : []]);
  const names = [...new Set(zones.map((zone) => zone.id))];
  const flow = new Map(flows.map((row) => [row.flexibilityZoneId, row]));
  const cards = names.map((name) => card(name, zones.filter((zone) => zone.id === name), market, flow.get(name))).sort((a, b) => b.still - a.still || b.wanted - a.wanted);
  const wanted = cards.reduce((sum, each) => sum + each.wanted, 0);
  const still = cards.reduce((sum, each) => sum + each.still, 0);
  const tile = (title, value, about) => el("div", {}, el("dt", {}, title), el("dd", {}, value, about && el("small", {}, about)));
  const now = Date.parse(clock.now);
  const gate = market.status === "announced" ? tile(t("Gate opens in"), until(now, market.gate.opens)) : market.status === "open" ? tile(t("Gate closes in"), until(now, market.gate.closes)) : tile(t("Gate"), t("closed"));
  redraw(root,
    el("p", { class: "soft" }, `${market.name}, ${day(market.periodFrom, market.timezone)}`), dayStages(market),
    el("dl", { class: "tiles" }, gate,
      tile(t("Congestion points"), String(names.length), t("with a need: {count}", { count: cards.filter((each) => each.wanted > 0).length })),
      tile(t("Needed"), mwh(wanted), t("grid side, all points")),
      tile(t("Relieved by rule and trades"), wanted ? percent(still ? Math.min(1 - still / wanted, ALMOST_ALL) : 1) : "–", t("{left} left", { left: mwh(still) })),
      trades && tile(t("Trades you may see"), String(trades.length))),
    told ? costs(told, market) : (dso || looks) && published ? el("p", { class: "soft" }, t("What it costs so far is being found ...")) : null,
    el("h2", {}, t("Congestion points")),
    names.length ? [el("ul", { class: "legend" }, flows.length ? [el("li", { class: "f" }, t("flow by forecast")), el("li", { class: "w" }, t("flow now")), el("li", { class: "m" }, t("limit"))] : null, el("li", { class: "n" }, t("needed")), el("li", { class: "l" }, t("left after rule and trades"))), el("div", { class: "cards" }, cards.map((each) => each.node))]
      : el("p", { class: "soft" }, t("No congestion point is published yet. Needs are published when the gate opens.")));
}
