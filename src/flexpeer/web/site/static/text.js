// Words in the page's language; numbers, instants and hours as people there write them.
const { default: words } = await import(`./words/${document.documentElement.lang}.js`);
const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const formats = new Map();
const ENERGIES = [["MWh", 1], ["kWh", 1e-3], ["Wh", 1e-6]];

export function t(text, values = {}) {
  return (words[text] || text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// What the market or the service says of a refusal or finds wrong, in the page's language; a `place` in it comes first.
export function said({ sentence, detail, reason }) {
  if (!sentence) return t(detail || (reason || "").replaceAll("_", " "));
  const { place, ...values } = sentence.values || {};
  const told = t(sentence.template, Object.fromEntries(Object.entries(values).map(([name, value]) => [name, t(value)])));
  return place ? `${place}: ${told}` : told;
}

function format(kind, options) {
  const key = JSON.stringify([kind, options]);
  if (!formats.has(key)) formats.set(key, new Intl[kind](language, options));
  return formats.get(key);
}

export const number = (value, places = 3) => format("NumberFormat", { maximumFractionDigits: places }).format(value);
export const mw = (value) => (value && Math.abs(value) < 0.001 ? `${number(value * 1e6)} W` : `${number(value)} MW`);
// An energy in MWh in the unit that shows it, as the report does: what is not nothing is not said to be 0.
export const mwh = (value) => {
  const [unit, size] = ENERGIES.find((each) => Math.abs(value) >= each[1]) || ENERGIES[value ? ENERGIES.length - 1 : 0];
  return `${number(value / size, 2)} ${unit}`;
};
export const money = (value, currency) => `${format("NumberFormat", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value)} ${currency}`;
export const percent = (value) => format("NumberFormat", { style: "percent", maximumFractionDigits: 1 }).format(value);
export const time = (instant, timeZone) => format("DateTimeFormat", { timeStyle: "short", timeZone }).format(new Date(instant));
export const moment = (instant, timeZone) => format("DateTimeFormat", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone }).format(new Date(instant));
export const day = (instant, timeZone) => format("DateTimeFormat", { dateStyle: "full", timeZone }).format(new Date(instant));
export const hours = (from, to, timeZone) => `${time(from, timeZone)}–${time(to, timeZone)}`;
