// The day at a glance: its stages, and for each congestion point what is needed, covered and left.
import { all } from "../api.js";
import { energy, needPicture, spread } from "../draw.js";
import { el, show, status } from "../html.js";
import { dayStages } from "../parts.js";
import { day, mw, mwh, percent, t } from "../text.js";

function card(name, rows, market) {
  const need = spread(rows, market, "flexibilityNeed");
  const left = spread(rows, market, "residualNeed");
  const [wanted, still] = [energy(need, market), energy(left, market)];
  const first = rows[0];
  const covered = wanted ? status(still > 0 ? "warn" : "good", still > 0 ? t("{left} left", { left: mwh(still) }) : t("relieved by rule and trades")) : status("", t("no need"));
  return { wanted, still, node: el("article", { class: "card" },
    el("h3", {}, name), el("p", { class: "soft" }, `${first.dso}, ${t(first.direction)}, ${t("relieved by {direction}", { direction: t(first.regulationType) })}`),
    needPicture(need, left, market, name),
    el("p", {}, covered, ` ${t("of {need} (grid side), at most {most} at once", { need: mwh(wanted), most: mw(Math.max(...need)) })}`)) };
}

export async function draw(root, { market }) {
  const [zones, trades] = await Promise.all([all("/api/FlexibilityZones", { marketId: market.id }), all("/api/Trades", { marketId: market.id }).catch(() => [])]);
  const names = [...new Set(zones.map((zone) => zone.id))];
  const cards = names.map((name) => card(name, zones.filter((zone) => zone.id === name), market)).sort((a, b) => b.still - a.still || b.wanted - a.wanted);
  const wanted = cards.reduce((sum, each) => sum + each.wanted, 0);
  const still = cards.reduce((sum, each) => sum + each.still, 0);
  const tile = (title, value, about) => el("div", {}, el("dt", {}, title), el("dd", {}, value, about && el("small", {}, about)));
  show(root,
    el("p", { class: "soft" }, `${market.name}, ${day(market.periodFrom, market.timezone)}`), dayStages(market),
    el("dl", { class: "tiles" },
      tile(t("Congestion points"), String(names.length), t("with a need: {count}", { count: cards.filter((each) => each.wanted > 0).length })),
      tile(t("Needed"), mwh(wanted), t("grid side, all points")),
      tile(t("Relieved by rule and trades"), wanted ? percent(1 - still / wanted) : "–", t("{left} left", { left: mwh(still) })),
      tile(t("Trades you may see"), String(trades.length))),
    el("h2", {}, t("Congestion points")),
    names.length ? [el("ul", { class: "legend" }, el("li", { class: "n" }, t("needed")), el("li", { class: "l" }, t("left after rule and trades"))), el("div", { class: "cards" }, cards.map((each) => each.node))]
      : el("p", { class: "soft" }, t("No congestion point is published yet. Needs are published when the gate opens.")));
}
