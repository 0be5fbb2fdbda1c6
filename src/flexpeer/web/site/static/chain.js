// Checks a log in the browser: the hash of every record, that each names the one before, and the signed heads.
const GENESIS = "0".repeat(64);
const PIECE = 500;
const text = new TextEncoder();

const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (hexadecimal) => new Uint8Array(hexadecimal.match(/../g).map((pair) => parseInt(pair, 16)));

// The content of a record as it was written: what is hashed is that, and not what a parser makes of it.
function written(line) {
  const found = /^\{"n":\d+,"(event|seal)":(.*),"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/s.exec(line);
  return found && { kind: found[1], content: found[2], prev: found[3], hash: found[4] };
}

async function signedRight(head, market) {
  const message = ["flexpeer head", market, head.stage, head.n, head.hash, head.at].map((line) => `${line}\n`).join("");
  const key = await crypto.subtle.importKey("raw", bytes(head.publicKey), "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, bytes(head.signature), text.encode(message));
}

// `tell` hears which part is done. Answers what is wrong first (`damage` at record `n`), or how much was right.
export async function check(lines, heads, tell) {
  if (!crypto.subtle) throw new Error("no crypto.subtle: neither HTTPS nor this machine");
  const hashes = [GENESIS];
  for (let at = 0; at < lines.length; at += 1) {
    const n = at + 1;
    const record = written(lines[at]);
    if (!record) return { n, damage: "is not a record" };
    if (record.prev !== hashes[at]) return { n, damage: "does not follow the record before" };
    const digest = hex(await crypto.subtle.digest("SHA-256", text.encode(`${n}\n${record.prev}\n${record.kind}\n${record.content}`)));
    if (digest !== record.hash) return { n, damage: "has another content than its hash says" };
    hashes.push(record.hash);
    if (n % PIECE === 0) tell(n / lines.length);
  }
  let signed = 0;
  for (const head of heads) {
    if (hashes[head.n] !== head.hash) return { n: head.n, damage: "is not what the signed head says" };
    signed += await signedRight(head, head.marketId);
    if (!signed) return { n: head.n, damage: "its head has a wrong signature" };
  }
  return { heads: heads.length, signed };
}
