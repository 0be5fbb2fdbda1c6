// The log: every event in order, chained, searched as one types; checked here, by this browser, against the signed heads.
import { all, get } from "../api.js";
import { el, show, status } from "../html.js";
import { table } from "../table.js";
import { number, t } from "../text.js";
import { check } from "../chain.js";

const chosen = { type: "" };
let checked = null;
export const still = () => checked !== null;

function verification(lines, heads) {
  const said = el("div", { role: "status" }, checked);
  const progress = el("progress", { max: "1", value: "0", hidden: true, "aria-label": t("Checking the log") });
  const run = async (event) => {
    event.target.disabled = true;
    progress.hidden = false;
    try {
      const found = await check(lines, heads, (part) => { progress.value = part; });
      checked = found.damage ? status("bad", t("Record {n}: {problem}", { n: found.n, problem: t(found.damage) }))
        : status("good", t("Whole: {count} records, each with the hash of the one before; {heads} heads are in the chain, {signed} signatures are right.", { count: number(lines.length, 0), heads: found.heads, signed: found.signed }));
    } catch (error) {
      checked = status("warn", t("This browser cannot check it ({why}). Use `flexpeer audit verify` with the log below.", { why: error.message }));
    }
    show(said, checked);
    progress.hidden = true;
    event.target.disabled = false;
  };
  return el("section", { class: "card" }, el("h2", {}, t("Is the log whole?")), el("p", { class: "soft" }, t("This browser computes every hash again, and compares with the heads that were signed at each stage.")),
    el("div", { class: "tools" }, el("button", { type: "button", class: "main", onclick: run }, t("Check the log")), progress), said);
}

export async function draw(root, { market, refresh }) {
  const [{ stateHash }, text, heads] = await Promise.all([get(`/api/Markets/${encodeURIComponent(market.id)}`), get("/api/Log", { marketId: market.id }), all("/api/Heads", { marketId: market.id })]);
  const lines = String(text).split("\n").filter(Boolean);
  const records = lines.map((line) => JSON.parse(line)).reverse();
  const type = (line) => (line.event || {}).type || "seal";
  const types = [...new Set(records.map(type))].sort();
  const select = el("select", { onchange: (event) => { chosen.type = event.target.value; refresh(); } }, [["", t("all events")], ...types.map((name) => [name, name])].map(([value, name]) => el("option", { value, selected: value === chosen.type }, name)));
  const content = (line) => {
    const { type: _type, ...rest } = line.event || line.seal || {};
    return JSON.stringify(rest);
  };
  const cell = (line) => {
    const whole = content(line);
    return whole.length <= 240 ? el("pre", {}, whole) : el("details", {}, el("summary", {}, el("code", {}, `${whole.slice(0, 160)} …`)), el("pre", {}, whole));
  };
  const found = records.filter((line) => !chosen.type || type(line) === chosen.type);
  show(root,
    el("p", {}, t("State: "), el("code", {}, stateHash)), verification(lines, heads),
    table(t("Signed heads"), [
      [t("Stage"), (head) => t(head.stage), true, (head) => head.stage],
      [t("Record"), (head) => String(head.n)],
      [t("Hash"), (head) => el("code", {}, head.hash), true, (head) => head.hash],
    ], heads, t("No head is signed yet.")),
    el("h2", {}, t("Events, the latest first")),
    el("div", { class: "tools" }, el("label", {}, t("Event"), select), el("a", { href: `/api/Log?marketId=${encodeURIComponent(market.id)}&sealed=true`, download: `events-${market.id}.log` }, t("Download the log"))),
    table(t("Events"), [
      [t("Record"), (line) => String(line.n), false, (line) => `#${line.n}`],
      [t("Event"), type, true, type],
      [t("Content"), cell, true, content],
    ], found, t("Nothing has happened yet.")));
}
