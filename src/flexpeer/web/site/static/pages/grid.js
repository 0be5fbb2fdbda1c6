// A DSO's own grid: its elements, and what it brings before the need is published.
import { all, ask, get } from "../api.js";
import { SHEETS, exact, field, opensAt, option, periodFields, removing, send, sheetMedia, span, upload } from "../form.js";
import { el, show } from "../html.js";
import { table } from "../table.js";
import { mw, number, t } from "../text.js";

let touched = false;
export const still = () => touched;

const difference = (before, after) => after.filter((name) => !before.includes(name));
const named = (names) => (names.length > 8 ? `${names.slice(0, 8).join(", ")} …` : names.join(", ")) || "–";

function changed(before, after) {
  const row = (title, old, now) => ({ title, old: number(old.length, 0), now: number(now.length, 0), added: named(difference(old, now)), gone: named(difference(now, old)) });
  return table(t("Your grid, before and now"), [
    [t("Elements"), (each) => each.title, true],
    [t("Before"), (each) => each.old],
    [t("Now"), (each) => each.now],
    [t("New"), (each) => each.added, true],
    [t("Gone"), (each) => each.gone, true],
  ], [row(t("Buses"), before.buses, after.buses), row(t("Branches"), before.branches, after.branches)], "");
}

function elements(grid) {
  const borders = grid.borders.map((border) => `${border.bus} (${border.dso})`);
  const rows = [...grid.branches.map((name) => [name, t("branch")]), ...grid.buses.map((name) => [name, t("bus")])];
  return el("section", {}, el("p", {}, t("{buses} buses and {branches} branches; fed at {borders}.", { buses: number(grid.buses.length, 0), branches: number(grid.branches.length, 0), borders: borders.join(", ") || "–" })),
    el("details", {}, el("summary", {}, t("All elements")), table(t("Elements of your grid"), [
      [t("Name"), ([name]) => name, true, ([name]) => name],
      [t("Kind"), ([, kind]) => kind, true, ([, kind]) => kind],
    ], rows, t("No element is yours."))));
}

// What a file's borders are said to be, for the query; nothing where they stay.
function borderQuery(text) {
  const rows = text.split("\n").map((line) => line.split(",").map((part) => part.trim())).filter((parts) => parts[0]);
  const said = rows.map(([bus, dso = "", theirBus = bus]) => ({ bus, dso, theirBus }));
  return said.length ? `&borders=${encodeURIComponent(JSON.stringify(said))}` : "";
}

// A form whose fields become one JSON body; numbers go as they were typed.
function stated(title, about, fields, request, thanked) {
  const button = el("button", { class: "main" }, t("Send"));
  const answer = el("div", { role: "status" });
  const form = el("form", { class: "bid", onsubmit: (event) => {
    event.preventDefault();
    send(button, answer, () => request(form.elements), thanked);
  } }, fields, button);
  return el("div", {}, el("h3", {}, title), el("p", { class: "soft" }, about), form, answer);
}

const thanked = (text, tell, refresh) => async () => {
  tell(text, "good");
  await refresh();
  return [];
};

function outages(market, list, fixed, tell, refresh) {
  const query = `?marketId=${encodeURIComponent(market.id)}`;
  const body = ({ element, periodFrom, periodTo, limit }) => {
    const carried = exact(limit.value);
    return { element: element.value.trim(), periodFrom: periodFrom.value, periodTo: periodTo.value, ...(carried === undefined ? {} : { limit: carried }) };
  };
  return el("section", { class: "card" }, el("h2", {}, t("Outages")),
    table(t("Outages told"), [
      [t("Element"), (row) => row.element, true, (row) => row.element],
      [t("Hours"), (row) => span(row, market), true],
      [t("Carries at most"), (row) => (row.limit === undefined ? t("nothing") : mw(row.limit))],
      ["", (row) => (fixed ? "" : removing(t("Take back"), t("Take the outage of {element} back?", { element: row.element }), () => ask("DELETE", `/api/Outages/${encodeURIComponent(row.id)}${query}`), tell, refresh)), true],
    ], list, t("You have told no outage.")),
    stated(t("Tell an outage"), t("A branch is out, or carries no more than a limit in MW (grid side)."), [
      field("element", t("Branch"), el("input", { list: "branches", required: true, autocomplete: "off" })), periodFields(market),
      field("limit", t("Limit in MW (empty: out)"), el("input", { inputmode: "decimal" })),
    ], (fields) => ["POST", `/api/Outages${query}`, body(fields)], thanked(t("Told. The need is found with it when the gate opens."), tell, refresh)));
}

function limits(market, known, fixed, tell, refresh) {
  const path = `/api/Limits?marketId=${encodeURIComponent(market.id)}`;
  const whole = { congestionPoints: known.congestionPoints || [], ratings: known.ratings || [], voltageBands: known.voltageBands || [] };
  const without = (list, row) => ({ ...whole, [list]: whole[list].filter((each) => each !== row) });
  const rows = [
    ...whole.congestionPoints.map((row) => ({ row, list: "congestionPoints", element: `${row.id}: ${row.element}`, what: t(row.direction), limit: row.limit !== undefined && row.limit !== null ? mw(row.limit) : row.limitPu ? `${number(row.limitPu)} pu` : t("rating") })),
    ...whole.ratings.map((row) => ({ row, list: "ratings", element: row.element, what: span(row, market), limit: `${number(row.current)} A` })),
    ...whole.voltageBands.map((row) => ({ row, list: "voltageBands", element: row.busId, what: span(row, market), limit: `${row.minimumPu ?? "–"} – ${row.maximumPu ?? "–"} pu` })),
  ];
  const rating = ({ element, periodFrom, periodTo, current }) => ["PUT", path, { ...whole, ratings: [...whole.ratings, { element: element.value.trim(), periodFrom: periodFrom.value, periodTo: periodTo.value, current: Number(exact(current.value)) }] }];
  const band = ({ busId, periodFrom, periodTo, minimumPu, maximumPu }) => {
    const side = (name, input) => (exact(input.value) === undefined ? {} : { [name]: Number(exact(input.value)) });
    return ["PUT", path, { ...whole, voltageBands: [...whole.voltageBands, { busId: busId.value.trim(), periodFrom: periodFrom.value, periodTo: periodTo.value, ...side("minimumPu", minimumPu), ...side("maximumPu", maximumPu) }] }];
  };
  const point = ({ id, element, direction, limit, limitPu }) => {
    const [power, voltage] = [exact(limit.value), exact(limitPu.value)];
    return ["PUT", path, { ...whole, congestionPoints: [...whole.congestionPoints, { id: id.value.trim(), element: element.value.trim(), direction: direction.value, ...(power === undefined ? {} : { limit: Number(power) }), ...(voltage === undefined ? {} : { limitPu: Number(voltage) }) }] }];
  };
  const number_ = (required) => el("input", { inputmode: "decimal", required });
  return el("section", { class: "card" }, el("h2", {}, t("Limits")),
    table(t("Limits stated, beside those of the grid file"), [
      [t("Element"), (each) => each.element, true, (each) => each.element],
      [t("Direction or hours"), (each) => each.what, true],
      [t("Limit"), (each) => each.limit],
      ["", (each) => (fixed ? "" : removing(t("Take back"), t("Take the limit of {element} back?", { element: each.element }), () => ask("PUT", path, without(each.list, each.row)), tell, refresh)), true],
    ], rows, t("You have stated no limit; those of the grid file hold.")),
    stated(t("State a rating"), t("What a branch may carry at its first end in these hours."), [
      field("element", t("Branch"), el("input", { list: "branches", required: true, autocomplete: "off" })), periodFields(market), field("current", t("Current in A"), number_(true)),
    ], rating, thanked(t("Stated."), tell, refresh)),
    stated(t("State a voltage band"), t("A side that is left empty stays as it is."), [
      field("busId", t("Bus"), el("input", { list: "buses", required: true, autocomplete: "off" })), periodFields(market), field("minimumPu", t("Least, pu"), number_(false)), field("maximumPu", t("Most, pu"), number_(false)),
    ], band, thanked(t("Stated."), tell, refresh)),
    stated(t("State a congestion point"), t("Where the points of this market are stated: what loads it, and its limit in MW (empty: its rating) or, for voltages, in pu."), [
      field("id", t("Name"), el("input", { required: true, autocomplete: "off" })), field("element", t("Branch, source or bus"), el("input", { list: "elements", required: true, autocomplete: "off" })),
      field("direction", t("Loaded by"), el("select", {}, ["export", "import", "high", "low"].map((each) => option(each, t(each))))), field("limit", t("Limit in MW"), number_(false)), field("limitPu", t("Limit in pu"), number_(false)),
    ], point, thanked(t("Stated."), tell, refresh)));
}

export async function draw(root, context) {
  const { market, tell } = context;
  const query = { marketId: market.id };
  if (!market.hasGrid) {
    show(root, el("p", { class: "soft" }, t("This market has no grid, only congestion points and impact factors. A market made from a scenario with a grid file has one.")));
    return;
  }
  let grid = await get("/api/Grid", query);
  const fixed = market.status !== "announced";
  const marketId = encodeURIComponent(market.id);
  const parts = { elements: el("div"), outages: el("div"), limits: el("div") };
  const next = el("p", {}, t("What to do next: send a forecast of the day, tell outages and limits. The need is found when the gate opens, {when}.", { when: opensAt(market) }));
  const lists = el("div", {}, el("datalist", { id: "branches" }), el("datalist", { id: "buses" }), el("datalist", { id: "elements" }));
  const refresh = async () => {
    const [told, known] = await Promise.all([all("/api/Outages", query), get("/api/Limits", query)]);
    show(parts.elements, elements(grid));
    show(parts.outages, outages(market, told, fixed, tell, refresh));
    show(parts.limits, limits(market, known, fixed, tell, refresh));
    lists.firstChild.replaceChildren(...grid.branches.map((name) => option(name, name)));
    lists.children[2].replaceChildren(...[...grid.branches, ...grid.buses].map((name) => option(name, name)));
    lists.children[1].replaceChildren(...grid.buses.map((name) => option(name, name)));
  };
  const borders = el("textarea", { rows: "2", placeholder: grid.borders.map((each) => `${each.bus}, ${each.dso}, ${each.bus}`).join("\n") });
  await refresh();
  root.addEventListener("input", () => { touched = true; });
  const first = grid.buses[0] || "";
  show(root,
    fixed ? el("p", { class: "warn" }, t("The need of this day is published, so what you bring would come too late for it: it is {status} since {when}. You can send for a day that is announced.", { status: t(market.status), when: opensAt(market) })) : next,
    parts.elements, lists,
    el("fieldset", { disabled: fixed, class: "plain" }, el("legend", { class: "skip" }, t("What you bring")),
      upload({
        title: t("Grid file"), about: t("Your own part of the grid, in any format that is read; its borders stay at the buses where they are. The day is tried with it; a file with findings changes nothing."),
        more: field("borders", t("Borders, one a line: your bus, DSO above, its bus (empty: as they are)"), borders),
        request: (file) => ["PUT", `/api/Grid?marketId=${marketId}&file=${encodeURIComponent(file.name)}${borderQuery(borders.value)}`, file, { "Content-Type": "application/octet-stream" }],
        done: async (told) => {
          const before = grid;
          grid = told;
          await refresh();
          return [el("p", { class: "good" }, t("Taken: this is your grid now.")), changed(before, told), told.findings && told.findings.length ? table(t("Read differently from what the file may have meant"), [[t("What"), (row) => row.message, true]], told.findings, "") : null, next.cloneNode(true)];
        },
      }),
      upload({
        title: t("Forecast"), accept: SHEETS, columns: ["from", "bus", "p_w", "q_var"], about: t("Of your buses (all that is no listed resource) and of resources you connect (column resource in place of bus): W and var per market time unit, injection positive. What is not in the file stays as it was."),
        example: `from,bus,p_w,q_var\n${new Date(Date.parse(market.periodFrom)).toISOString()},${JSON.stringify(first)},-1000,0\n`,
        request: (file) => ["POST", `/api/Forecasts/import?marketId=${marketId}`, file, sheetMedia(file)],
        done: (told) => el("p", { class: "good" }, t("{values} values of {series} buses and resources taken.", { values: number(told.values, 0), series: number(told.series, 0) }), " ", t("The need is found from them when the gate opens, {when}.", { when: opensAt(market) })),
      }),
      parts.outages, parts.limits));
}
