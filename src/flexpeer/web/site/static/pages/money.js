// What each account stands at, and from what.
import { all } from "../api.js";
import { el, show } from "../html.js";
import { table } from "../table.js";
import { money, t } from "../text.js";

export async function draw(root, { market }) {
  const accounts = await all("/api/Settlement", { marketId: market.id });
  const name = (row) => row.ownerOrganizationId || t(row.account);
  const kinds = (row) => {
    const sums = new Map();
    row.postings.forEach((posting) => sums.set(posting.kind, (sums.get(posting.kind) || 0) + Number(posting.amount)));
    return [...sums].map(([kind, sum]) => el("div", {}, `${t(kind)}: ${money(sum, row.currency)}`));
  };
  const csv = ["account,kind,trade,amount", ...accounts.flatMap((row) => row.postings.map((posting) => [`"${name(row).replaceAll('"', '""')}"`, posting.kind, posting.tradeId || "", posting.amount].join(",")))].join("\n");
  show(root,
    table(t("Accounts of {market}", { market: market.id }), [
      [t("Account"), name, true, name],
      [t("Revision"), (row) => String(row.revision)],
      [t("From"), kinds, true],
      [t("Invoiced (+ receives)"), (row) => money(row.amount, row.currency)],
    ], accounts, t("Nothing is settled yet. Money follows the confirmations, and is revised after metering.")),
    accounts.length ? el("p", {}, el("a", { download: `settlement-${market.id}.csv`, href: `data:text/csv;charset=utf-8,${encodeURIComponent(csv)}` }, t("Download the postings as CSV"))) : null);
}
