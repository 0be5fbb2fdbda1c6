// What the grid's owners said of each match.
import { all } from "../api.js";
import { el, redraw, status } from "../html.js";
import { table } from "../table.js";
import { mw, t, time } from "../text.js";

export async function draw(root, { market }) {
  const verdicts = await all("/api/Verdicts", { marketId: market.id });
  const bound = (row) => row.verdicts.find((verdict) => verdict.decision !== "GRANTED" && verdict.decision !== "Granted");
  const kind = (row) => (!bound(row) ? "good" : Number(row.grantedQuantity) > 0 ? "warn" : "bad");
  const text = (row) => (!bound(row) ? t("granted") : Number(row.grantedQuantity) > 0 ? t("reduced") : t("refused"));
  const refused = verdicts.filter(bound);
  redraw(root,
    el("p", {}, el("a", { class: "button", href: `/api/Evidence?marketId=${encodeURIComponent(market.id)}`, download: `evidence-${market.id}.zip` }, t("Download the evidence")), " ", el("small", {}, t("what you may see of this day as CSV and JSON, and the signed heads of the log, in one file"))),
    el("p", {}, t("{all} matches were checked; {bound} were reduced or refused.", { all: verdicts.length, bound: refused.length })),
    table(t("Verdicts, the latest last"), [
      [t("Match"), (row) => String(row.match)],
      [t("Orders"), (row) => row.orderIds.join(", "), true, (row) => row.orderIds.join(" ")],
      [t("Asked"), (row) => mw(row.askedQuantity)],
      [t("Granted"), (row) => mw(row.grantedQuantity)],
      [t("Verdict"), (row) => status(kind(row), text(row)), true, text],
      [t("Element"), (row) => (bound(row) ? `${bound(row).element || "–"} (${bound(row).dso})` : "–"), true, (row) => (bound(row) ? `${bound(row).element} ${bound(row).dso}` : "")],
      [t("At"), (row) => (bound(row) && bound(row).periodFrom ? time(bound(row).periodFrom, market.timezone) : "–")],
      [t("Headroom, grid side"), (row) => (bound(row) && bound(row).headroom !== undefined ? mw(bound(row).headroom) : "–")],
    ], verdicts, t("Nothing has been checked yet: the grid is asked when two orders cross.")));
}
