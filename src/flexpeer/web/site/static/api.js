// The API with the visitor's session; what is refused says why, and what would have been accepted.
import { meta } from "./html.js";
import { said, t } from "./text.js";

export class Refusal extends Error {
  constructor(problem) {
    super(said(problem) || problem.title || t("It was refused."));
    Object.assign(this, { status: problem.status, reason: problem.reason, accepted: problem.accepted && t(problem.accepted), findings: problem["validation-errors"] });
  }

  // Why, and what would have been accepted.
  get told() {
    return `${this.message.replace(/[^.!?]$/, "$&.")}${this.accepted ? ` ${t("Accepted would be: {what}", { what: this.accepted })}` : ""}`;
  }
}

export async function ask(method, path, body, headers = {}) {
  const sent = { ...headers };
  if (method !== "GET") sent["X-CSRF-Token"] = meta("word");
  if (body !== undefined && typeof body !== "string" && !(body instanceof Blob)) {
    sent["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  const answer = await fetch(path, { method, headers: sent, body, cache: "no-store" });
  if (answer.status === 401) location.assign(`/login?to=${encodeURIComponent(location.pathname)}`);
  const text = await answer.text();
  if (!answer.ok) {
    let problem = { status: answer.status, title: answer.statusText };
    try {
      problem = JSON.parse(text);
    } catch {
      // A proxy's page, not ours.
    }
    throw new Refusal(problem);
  }
  const json = (answer.headers.get("content-type") || "").startsWith("application/json");
  return { document: json && text ? JSON.parse(text) : text, etag: answer.headers.get("etag") };
}

const written = (query) => new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

export async function get(path, query = {}) {
  return (await ask("GET", `${path}?${written(query)}`)).document;
}

// Every item of a list, page by page.
export async function all(path, query = {}) {
  const items = [];
  let next = `${path}?${written({ take: 1000, ...query })}`;
  while (next) {
    const page = (await ask("GET", next)).document;
    items.push(...page.items);
    next = (page.links.find((link) => link.rel === "next") || {}).href;
  }
  return items;
}
