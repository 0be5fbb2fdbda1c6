// Who may act for an organisation: users by one-time links, API clients by secrets, and the codes of one's own login.
import { all, ask, get } from "../api.js";
import { field, option, removing, send } from "../form.js";
import { el, show, status } from "../html.js";
import { qrPicture } from "../qr.js";
import { table } from "../table.js";
import { t } from "../text.js";

// What is shown once stands until somebody says that it is kept; nothing is drawn anew beneath a form that is being filled in.
let kept = null;
let offered = null;
let touched = false;
export const still = () => touched || kept !== null || offered !== null;

const path = (kind, name) => `/api/${kind}/${encodeURIComponent(name)}`;
const life = (row) => [status(row.status === "open" ? "good" : "warn", t(row.status)), row.codes ? el("div", {}, status("good", t("codes"))) : null];

// Something to copy, with what it is.
function secret(title, text) {
  const shown = el("code", {}, text);
  const said = el("small", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = t("Copied.");
    } catch {
      getSelection().selectAllChildren(shown);
      said.textContent = t("It is selected: copy it with the keyboard.");
    }
  };
  return el("div", { class: "secret" }, el("span", { class: "soft" }, title), shown, el("div", { class: "tools" }, el("button", { type: "button", onclick: copy, "aria-label": t("Copy: {what}", { what: title }) }, t("Copy")), said));
}

function keep(title, about, lines, refresh) {
  const close = el("button", { type: "button", class: "main", onclick: () => { kept = null; refresh(); } }, t("I have kept it"));
  kept = el("section", { class: "card once", tabindex: "-1", role: "group", "aria-label": title }, el("h2", {}, status("warn", title)), el("p", {}, about), lines, el("div", { class: "tools" }, close));
}

const keepLink = (name, link, refresh) => keep(t("The link for {name}, shown this once", { name }), t("Send it to nobody else. It works once, for seven days: whoever opens it chooses a password and is in. A new link ends the one before."), [secret(t("One-time link"), link)], refresh);

// A card with a form; `request(elements)` is what is asked, `done(told)` what follows.
function card(title, about, fields, action, request, done) {
  const [button, answer] = [el("button", { class: "main" }, action), el("div", { role: "status" })];
  const form = el("form", { class: fields.length ? "bid" : "tools", oninput: () => { touched = true; }, onsubmit: (event) => {
    event.preventDefault();
    send(button, answer, () => request(form.elements), async (told) => {
      touched = false;
      await done(told);
      return [];
    });
  } }, fields, button);
  return el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "soft" }, about), form, answer);
}

const name = (id, title) => field(id, title, el("input", { required: true, maxlength: "200", autocomplete: "off" }));

function users(rows, { user, owner, tell, refresh }) {
  const again = async (row) => {
    try {
      keepLink(row.id, (await ask("POST", "/api/Users", { id: row.id, rank: row.rank })).document.link, refresh);
    } catch (error) {
      tell(error.told, "bad");
    }
    await refresh();
  };
  const actions = (row) => (!owner ? "" : row.id === user ? t("this is you") : [
    row.status === "invited" ? el("button", { type: "button", onclick: () => again(row) }, t("New link")) : null,
    removing(t("Revoke"), t("Revoke {name}? That ends at once, and the name is not given again.", { name: row.id }), () => ask("DELETE", path("Users", row.id)), tell, refresh, t("{name} is revoked.", { name: row.id })),
  ]);
  return table(t("Users"), [
    [t("User"), (row) => row.id, true, (row) => row.id],
    [t("May"), (row) => t(row.rank), true, (row) => t(row.rank)],
    [t("Status"), life, true, (row) => t(row.status)],
    ["", actions, true],
  ], rows, t("No user is known here."));
}

const invitation = (refresh) => card(t("Invite somebody"), t("You get a link to send to them, shown once."), [
  name("id", t("Name to log in with")),
  field("rank", t("May"), el("select", {}, option("contributor", t("contributor: all but managing people")), option("reader", t("reader: only look")), option("owner", t("owner: all, and managing people")))),
], t("Make the link"), ({ id, rank }) => ["POST", "/api/Users", { id: id.value.trim(), rank: rank.value }], (told) => {
  keepLink(told.id, told.link, refresh);
  return refresh();
});

function clients(rows, { owner, tell, refresh }) {
  return table(t("API clients"), [
    [t("Client"), (row) => row.id, true, (row) => row.id],
    [t("Status"), life, true, (row) => t(row.status)],
    ["", (row) => (owner ? removing(t("Revoke"), t("Revoke {name}? Its tokens end at once.", { name: row.id }), () => ask("DELETE", path("Clients", row.id)), tell, refresh, t("{name} is revoked.", { name: row.id })) : ""), true],
  ], rows, owner ? t("No program acts for you. Make a client below for the first one.") : t("No program acts for you. An owner of your organisation can make a client."));
}

const newClient = (refresh) => card(t("A new API client"), t("For a program that trades for you, as a contributor. Its secret is shown once."), [], t("Make a client"), () => ["POST", "/api/Clients"], (told) => {
  keep(t("The secret of {name}, shown this once", { name: told.id }), t("The program sends both to POST /api/token. Whoever loses the secret makes a new client."), [secret(t("Client"), told.id), secret(t("Secret"), told.secret)], refresh);
  return refresh();
});

const organisation = (refresh) => card(t("Register an organisation"), t("It enters the market, and its first owner is invited."), [
  name("id", t("Organisation")),
  field("role", t("Role"), el("select", {}, [["FSP", t("FSP")], ["AGGREGATOR", t("aggregator")], ["LOCAL_DSO", t("local DSO")], ["REGIONAL_DSO", t("regional DSO")], ["BRP", t("BRP")], ["OBSERVER", t("observer")]].map(([role, text]) => option(role, text)))),
  field("parent", t("Its overlying DSO, or the one it bids through (may be empty)"), el("input", { autocomplete: "off" })),
  name("owner", t("Name its first owner logs in with")),
], t("Register"), ({ id, role, parent, owner }) => ["POST", "/api/Organizations", { id: id.value.trim(), role: role.value, owner: owner.value.trim(), ...(parent.value.trim() ? { parent: parent.value.trim() } : {}) }], (told) => {
  keepLink(told.id, told.link, refresh);
  return refresh();
});

const code = () => field("code", t("Code of your authenticator, six digits"), el("input", { required: true, inputmode: "numeric", pattern: "[0-9]{6}", title: t("six digits"), autocomplete: "one-time-code" }));

function codes(active, { tell, refresh }) {
  const done = (text) => () => {
    offered = null;
    tell(text, "good");
    return refresh();
  };
  const said = [t("Codes of your own login"), [status(active ? "good" : "", active ? t("on: your login asks for a password and a code") : t("off: your login asks for a password only"))]];
  if (active) return card(...said, [code()], t("Turn codes off"), (elements) => ["DELETE", "/api/Codes", { code: elements.code.value }], done(t("Codes are off.")));
  if (!offered) {
    return card(...said, [], t("Turn codes on"), () => ["POST", "/api/Codes"], (told) => {
      offered = told;
      return refresh();
    });
  }
  const shown = el("div", { class: "two" }, qrPicture(offered.address, t("The address below as a QR code")), el("div", {}, secret(t("Secret"), offered.secret), secret(t("Address"), offered.address)));
  const form = card(...said, [code(), el("button", { type: "button", onclick: () => { offered = null; touched = false; refresh(); } }, t("Not now"))], t("Turn codes on"), (elements) => ["PUT", "/api/Codes", { code: elements.code.value }], done(t("Codes are on: the next login asks for one.")));
  form.querySelector("form").before(el("p", {}, t("Give this to your authenticator (a program that shows a new code every half minute), then type the code it shows. It is shown this once.")), shown);
  return form;
}

const whose = (row) => row.ownerOrganizationId;

// Whom a market operator or observer sees beside its own.
const others = (people, programs) => el("details", {}, el("summary", {}, t("Users and clients of other organisations")),
  table(t("Users"), [[t("User"), (row) => row.id, true, (row) => row.id], [t("Organisation"), whose, true, whose], [t("May"), (row) => t(row.rank), true, (row) => t(row.rank)], [t("Status"), life, true, (row) => t(row.status)]], people, t("No user is known here.")),
  table(t("API clients"), [[t("Client"), (row) => row.id, true, (row) => row.id], [t("Organisation"), whose, true, whose], [t("Status"), life, true, (row) => t(row.status)]], programs, t("No client is known here.")));

export async function draw(root, context) {
  const [people, programs, { active }] = await Promise.all([all("/api/Users"), all("/api/Clients"), get("/api/Codes")]);
  const { user, role } = context;
  const own = (row) => whose(row) === context.organisation;
  const other = (row) => !own(row);
  const owner = people.some((row) => row.id === user && row.rank === "owner");
  const shown = [kept, offered];
  const refresh = async () => {
    await draw(root, context);
    if (kept && kept !== shown[0]) kept.focus();
    else if (offered && offered !== shown[1]) root.querySelector("input[name=code]").focus();
  };
  const here = { ...context, owner, refresh };
  show(root, kept,
    owner ? null : el("p", { class: "soft" }, t("Owners of your organisation invite and revoke people here; you may look, and change your own login.")),
    users(people.filter(own), here),
    owner && people.filter(own).length === 1 ? el("p", { class: "soft" }, t("You are the only one of your organisation here. Invite the next person below.")) : null,
    owner ? invitation(refresh) : null,
    clients(programs.filter(own), here), owner ? newClient(refresh) : null,
    owner && role === "MARKET_OPERATOR" ? organisation(refresh) : null,
    codes(active, here),
    role === "MARKET_OPERATOR" || role === "OBSERVER" ? others(people.filter(other), programs.filter(other)) : null);
}
