// What each account stands at, and from what; by day and by month.
import { all } from "../api.js";
import { el, redraw } from "../html.js";
import { download } from "../parts.js";
import { table } from "../table.js";
import { money, t } from "../text.js";

const sums = (rows, key) => {
  const found = new Map();
  for (const row of rows) found.set(key(row), (found.get(key(row)) || 0) + Number(row.amount));
  return [...found];
};

const postings = (accounts, name) => ["day,account,kind,trade,amount", ...accounts.flatMap((row) => row.postings.map((posting) => [row.marketId, `"${name(row).replaceAll('"', '""')}"`, posting.kind, posting.tradeId || "", posting.amount].join(",")))].join("\n");

export async function draw(root, { market }) {
  const accounts = await all("/api/Settlement");
  const name = (row) => row.ownerOrganizationId || t(row.account);
  const today = accounts.filter((row) => row.marketId === market.id);
  const kinds = (row) => sums(row.postings.map((posting) => ({ ...posting, key: posting.kind })), (posting) => posting.kind).map(([kind, sum]) => el("div", {}, `${t(kind)}: ${money(sum, row.currency)}`));
  const period = (title, part) => {
    const rows = sums(accounts, (row) => `${row.marketId.slice(0, part)}\n${name(row)}`).map(([key, sum]) => [...key.split("\n"), sum]);
    return table(title, [[t("Period"), ([when]) => when, true, ([when]) => when], [t("Account"), ([, who]) => who, true, ([, who]) => who], [t("Invoiced (+ receives)"), ([, , sum]) => money(sum, market.currency)]], rows, "");
  };
  redraw(root,
    table(t("Accounts of {market}", { market: market.id }), [
      [t("Account"), name, true, name],
      [t("Revision"), (row) => String(row.revision)],
      [t("From"), kinds, true],
      [t("Invoiced (+ receives)"), (row) => money(row.amount, row.currency)],
    ], today, t("Nothing is settled yet. Money follows the confirmations, and is revised after metering.")),
    accounts.length ? [el("h2", {}, t("By month")), period(t("Months"), 7), el("h2", {}, t("By day")), period(t("Days"), 10),
      el("p", {}, el("button", { type: "button", onclick: () => download(`settlement-${market.id}.csv`, postings(accounts, name)) }, t("Download the postings as CSV")))] : null);
}
