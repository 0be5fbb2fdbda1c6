// Parts of forms: fields with their names, hours of the day, files that are sent, and what was wrong with them.
import { ask } from "./api.js";
import { el, show } from "./html.js";
import { table } from "./table.js";
import { moment, said, t, time } from "./text.js";

export const option = (value, text, selected) => el("option", { value, selected }, text);

export function field(name, title, input) {
  input.setAttribute("name", name);
  return el("label", {}, title, input);
}

// The instants between which market time units of the day lie, the last one included.
export function instants(market) {
  const step = market.mtuMinutes * 60000;
  const found = [];
  for (let at = Date.parse(market.periodFrom); at <= Date.parse(market.periodTo); at += step) found.push(new Date(at).toISOString());
  return found;
}

export function periodFields(market) {
  const all = instants(market);
  const choices = (own, chosen) => el("select", {}, own.map((at) => option(at, moment(at, market.timezone), at === chosen)));
  return [field("periodFrom", t("From"), choices(all.slice(0, -1), all[0])), field("periodTo", t("To"), choices(all.slice(1), all[all.length - 1]))];
}

// What somebody typed, as a plain decimal; nothing where nothing was typed.
export const exact = (text) => {
  const plain = text.trim().replace(/\s/g, "").replace(",", ".");
  return plain === "" ? undefined : plain;
};

// The same as JSON: exactly the digits that were typed, or text that the server will refuse by name.
export const exactly = (input) => {
  const plain = exact(input.value) || "";
  return /^-?\d+(\.\d+)?$/.test(plain) ? plain : JSON.stringify(plain);
};

// A button that asks before it takes something back.
export function removing(what, question, request, tell, refresh, done = t("Taken back.")) {
  return el("button", { type: "button", onclick: async () => {
    if (!confirm(question)) return;
    try {
      await request();
      tell(done, "good");
    } catch (error) {
      tell(error.told || error.message, "bad");
    }
    await refresh();
  } }, what);
}

const where = ({ property }) => (/^line \d+$/.test(property) ? t("line {number}", { number: property.slice(5) }) : property);
const wrong = ({ sentence, message }) => said({ sentence, detail: message });

// What a refusal says, and each of its findings: where, what, and what stood there.
export function refusal(error) {
  return [
    el("p", { class: "bad", role: "alert" }, error.told || error.message),
    (error.findings || []).length ? table(t("Findings"), [
      [t("Where"), where, true, where],
      [t("What is wrong"), wrong, true, wrong],
      [t("What stood there"), (row) => row.value || "–", true, (row) => row.value || ""],
    ], error.findings, "") : null,
  ];
}

// Does something while its button waits; whoever pressed it by keyboard is at it again afterwards.
export async function waited(button, act) {
  button.disabled = true;
  await act();
  button.disabled = false;
  if (document.activeElement === document.body) button.focus();
}

// Sends while the button waits; `done` makes what is shown of an answer.
export async function send(button, answer, request, done) {
  show(answer, el("p", { class: "soft" }, t("Sent; what it leads to is tried now ...")));
  await waited(button, async () => {
    try {
      const { document: told } = await ask(...request());
      show(answer, await done(told));
    } catch (error) {
      show(answer, refusal(error));
    }
  });
}

export const SHEETS = ".csv,.xlsx";
const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
export const sheetMedia = (file) => ({ "Content-Type": file.name.toLowerCase().endsWith(".xlsx") ? XLSX : "text/csv" });

// A card with one file to send. `columns` are those of a CSV file; `more` is a field beside it; `request(file)` is what is asked; `done(told)` nodes.
export function upload({ title, about, accept, columns, example, more, request, done }) {
  const file = el("input", { type: "file", accept, required: true });
  const button = el("button", { class: "main" }, t("Send the file"));
  const answer = el("div", { role: "status" });
  const form = el("form", { class: "tools", onsubmit: (event) => {
    event.preventDefault();
    send(button, answer, () => request(file.files[0]), done);
  } }, el("label", {}, t("File"), file), more, button);
  const sample = example && el("a", { href: URL.createObjectURL(new Blob([example], { type: "text/csv" })), download: "example.csv" }, t("An example with your own names"));
  return el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "soft" }, about),
    columns && el("p", {}, t("Columns: "), el("code", {}, columns.join(",")), " ", sample), form, answer);
}

export const opensAt = (market) => moment(market.gate.opens, market.timezone);
export const closesAt = (market) => moment(market.gate.closes, market.timezone);
export const span = (row, market) => `${moment(row.periodFrom, market.timezone)} – ${time(row.periodTo, market.timezone)}`;
