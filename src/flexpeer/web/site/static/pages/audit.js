// The log: every event in order, chained; and the heads that were signed.
import { all, get } from "../api.js";
import { el, show } from "../html.js";
import { table } from "../table.js";
import { t } from "../text.js";

const MOST = 5000;

export async function draw(root, { market }) {
  const [text, heads] = await Promise.all([get("/api/Log", { marketId: market.id }), all("/api/Heads", { marketId: market.id })]);
  const lines = String(text).split("\n").filter(Boolean).slice(-MOST).reverse().map((line) => JSON.parse(line));
  const content = (line) => {
    const { type, ...rest } = line.event || line.seal || {};
    return JSON.stringify(rest);
  };
  show(root,
    el("p", {}, t("State: "), el("code", {}, market.stateHash)),
    table(t("Signed heads"), [
      [t("Stage"), (head) => t(head.stage), true, (head) => head.stage],
      [t("Record"), (head) => String(head.n)],
      [t("Hash"), (head) => el("code", {}, head.hash), true, (head) => head.hash],
    ], heads, t("No head is signed yet.")),
    el("h2", {}, t("Events, the latest first")),
    table(t("Events"), [
      [t("Record"), (line) => String(line.n), false, (line) => String(line.n)],
      [t("Event"), (line) => (line.event || {}).type || t("seal"), true, (line) => (line.event || {}).type || ""],
      [t("Content"), (line) => el("pre", {}, content(line)), true, content],
    ], lines, t("Nothing has happened yet.")));
}
