// Resources and portfolios: what they can do, whether they are prequalified; an FSP registers here, a DSO answers.
import { all, ask } from "../api.js";
import { exactly, field, option, refusal, send } from "../form.js";
import { el, parts, redraw, show, status } from "../html.js";
import { table } from "../table.js";
import { mw, t } from "../text.js";

let touched = false;

const check = (given) => (given ? [status(given.passed ? "good" : "bad", `${given.passed ? t("passed") : t("failed")}, ${given.dso}`), (given.reasons || []).map((reason) => el("div", { class: "soft" }, reason))] : status("warn", t("waits")));
const path = (name) => `/api/Portfolios/${encodeURIComponent(name)}`;

// One request that waits for a DSO: accepted, or rejected with what the FSP should know.
function request(row, organisation, done) {
  const reason = el("input", { autocomplete: "off" });
  const said = el("div", { role: "status" });
  const answer = async (passed) => {
    if (!passed && !reason.value.trim()) {
      touched = true;
      show(said, el("p", { class: "bad", role: "alert" }, t("Say why it is rejected: the FSP reads it.")));
      reason.focus();
      return;
    }
    if (!passed && !confirm(t("Reject {name}? Its orders are refused from then on.", { name: row.name }))) return;
    const told = { passed, reasons: reason.value.trim() ? [reason.value.trim()] : [] };
    try {
      await ask("POST", `${path(row.id)}/prequalification`, { ...(row.dso === organisation ? { gridCheck: told } : {}), productCheck: told });
      await done(passed ? t("Accepted.") : t("Rejected, and the FSP is told why."));
    } catch (error) {
      show(said, refusal(error));
    }
  };
  return el("article", { class: "card" }, el("h3", {}, row.name),
    el("p", { class: "soft" }, `${row.ownerOrganizationId}, ${row.kind ? t(row.kind) : t("portfolio")}, ${row.gridNodeId || "–"}, ${mw(row.minimumQuantity)} … ${mw(row.maximumQuantity)}`),
    el("p", {}, t("Grid check"), ": ", check(row.gridCheck), el("br"), t("Product check"), ": ", check(row.productCheck)),
    el("label", {}, t("Reason (needed to reject)"), reason),
    el("div", { class: "tools" }, el("button", { type: "button", class: "main", onclick: () => answer(true) }, t("Accept")), el("button", { type: "button", onclick: () => answer(false) }, t("Reject"))), said);
}

function inbox(portfolios, organisation, done) {
  const rows = portfolios.filter((row) => row.kind && row.dso === organisation && row.status !== "Active" && !(row.gridCheck && !row.gridCheck.passed));
  return el("section", {}, el("h2", {}, t("Waits for your answer")), rows.length ? el("div", { class: "cards" }, rows.map((row) => request(row, organisation, done))) : el("p", { class: "soft" }, t("Nothing waits: every resource you connect has its answer.")));
}

function registering(portfolios, organisation, dsos, done) {
  const [button, answer] = [el("button", { class: "main" }, t("Register")), el("div", { role: "status" })];
  const form = el("form", { class: "bid", onsubmit: (event) => {
    event.preventDefault();
    const { id, kind, dso, gridNodeId, minimumQuantity, maximumQuantity } = form.elements;
    const texts = { id: id.value.trim(), kind: kind.value.trim(), dso: dso.value.trim(), gridNodeId: gridNodeId.value.trim() };
    const body = `{${Object.entries(texts).map(([name, value]) => `"${name}":${JSON.stringify(value)}`).join(",")},"minimumQuantity":${exactly(minimumQuantity)},"maximumQuantity":${exactly(maximumQuantity)}}`;
    send(button, answer, () => ["POST", "/api/Portfolios", body, { "Content-Type": "application/json" }], () => done(t("Registered. Your DSO is asked to prequalify it; it can trade on days whose needs are found after that.")));
  } },
  field("id", t("Name"), el("input", { required: true, autocomplete: "off" })), field("kind", t("Kind"), el("input", { required: true, list: "kinds", autocomplete: "off" })), el("datalist", { id: "kinds" }, ["wind", "pv", "hydro", "battery", "load"].map((kind) => option(kind, t(kind)))),
  field("dso", t("DSO"), el("input", { required: true, list: "dsos", autocomplete: "off" })), el("datalist", { id: "dsos" }, dsos.map((name) => option(name, name))),
  field("gridNodeId", t("Bus it is connected to"), el("input", { required: true, autocomplete: "off" })),
  field("minimumQuantity", t("Least in MW (injection positive)"), el("input", { inputmode: "decimal", required: true })), field("maximumQuantity", t("Most in MW (injection positive)"), el("input", { inputmode: "decimal", required: true })), button);
  const own = portfolios.filter((row) => row.kind && row.ownerOrganizationId === organisation);
  const [join, joined] = [el("button", { class: "main" }, t("Form the portfolio")), el("div", { role: "status" })];
  const group = el("form", { class: "bid", onsubmit: (event) => {
    event.preventDefault();
    const resources = [...group.elements.resources.selectedOptions].map((each) => each.value);
    send(join, joined, () => ["POST", "/api/Portfolios", { id: group.elements.id.value.trim(), resources }], () => done(t("Formed: it trades as one.")));
  } },
  field("id", t("Name"), el("input", { required: true, autocomplete: "off" })), field("resources", t("Resources that trade as one"), el("select", { multiple: true, required: true, size: String(Math.min(6, Math.max(2, own.length))) }, own.map((row) => option(row.id, row.name)))), join);
  return [el("section", { class: "card" }, el("h2", {}, t("Register a resource")), form, answer), own.length > 1 ? el("section", { class: "card" }, el("h2", {}, t("Form a portfolio")), group, joined) : null];
}

export async function draw(root, context) {
  const { market, organisation, role, tell } = context;
  const [portfolios, zones] = await Promise.all([all("/api/Portfolios"), all("/api/FlexibilityZones", { marketId: market.id })]);
  const done = async (text) => {
    touched = false;
    tell(text, "good");
    await draw(root, context);
    return [];
  };
  const dsos = [...new Set([...portfolios.map((row) => row.dso), ...zones.map((zone) => zone.dso)])].sort();
  const list = table(t("Resources and portfolios"), [
    [t("Name"), (row) => row.name, true, (row) => row.name],
    [t("Owner"), (row) => row.ownerOrganizationId, true, (row) => row.ownerOrganizationId],
    [t("Kind"), (row) => (row.kind ? t(row.kind) : t("portfolio")), true, (row) => row.kind || ""],
    [t("Connected to"), (row) => `${row.dso}${row.gridNodeId ? `, ${row.gridNodeId}` : ""}`, true, (row) => `${row.dso} ${row.gridNodeId || ""}`],
    [t("Least (injection positive)"), (row) => mw(row.minimumQuantity)],
    [t("Most (injection positive)"), (row) => mw(row.maximumQuantity)],
    [t("Grid check"), (row) => check(row.gridCheck), true],
    [t("Product check"), (row) => check(row.productCheck), true],
  ], portfolios, role === "FSP" || role === "AGGREGATOR" ? t("You have no resource. Register the first one below.") : t("No resource is registered yet; FSPs register theirs on this page."));
  const [waiting, listed, forms] = parts(root, 3);
  redraw(listed, list);
  if (touched) return;
  root.oninput = (event) => { touched = touched || !listed.contains(event.target); };
  show(waiting, role.endsWith("DSO") ? inbox(portfolios, organisation, done) : null);
  show(forms, role === "FSP" || role === "AGGREGATOR" ? registering(portfolios, organisation, dsos, done) : null);
}
