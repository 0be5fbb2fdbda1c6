// A text as a QR code (ISO/IEC 18004) of our own drawing: version 6, level L, bytes, always mask 0, which every reader reads.
import { svg } from "./html.js";

const SIZE = 41;
const BLOCKS = 2;
const DATA = 68;
const CHECKS = 18;
const MOST_BYTES = BLOCKS * DATA - 2;
const ALIGNMENT = 34;
const FORMAT = 0b111011111000100;
const QUIET = 4;

// GF(256) by x^8 + x^4 + x^3 + x^2 + 1: powers of 2, and what a byte is the power of.
const powers = new Uint8Array(510);
const power = new Uint8Array(256);
for (let n = 0, value = 1; n < 255; n += 1) {
  powers[n] = powers[n + 255] = value;
  power[value] = n;
  value = (value << 1) ^ (value > 127 ? 0x11d : 0);
}
const product = (a, b) => (a && b ? powers[power[a] + power[b]] : 0);

// What a block's polynomial leaves when divided by (x - 1)(x - 2)(x - 4)...
function checked(block) {
  let divisor = [1];
  for (let n = 0; n < CHECKS; n += 1) divisor = [...divisor, 0].map((value, place) => value ^ product(place ? divisor[place - 1] : 0, powers[n]));
  const left = [...block, ...new Array(CHECKS).fill(0)];
  block.forEach((_, place) => {
    const factor = left[place];
    divisor.forEach((value, n) => { left[place + n] ^= product(value, factor); });
  });
  return left.slice(block.length);
}

function codewords(bytes) {
  const nibbles = [4, bytes.length >> 4, bytes.length & 15, ...[...bytes].flatMap((byte) => [byte >> 4, byte & 15]), 0];
  const data = Array.from({ length: nibbles.length / 2 }, (_, n) => nibbles[2 * n] * 16 + nibbles[2 * n + 1]);
  while (data.length < BLOCKS * DATA) data.push((data.length - nibbles.length / 2) % 2 ? 17 : 236);
  const blocks = Array.from({ length: BLOCKS }, (_, n) => data.slice(n * DATA, (n + 1) * DATA));
  const woven = (rows) => rows[0].flatMap((_, place) => rows.map((row) => row[place]));
  return [...woven(blocks), ...woven(blocks.map(checked))];
}

// Which modules are dark, by row; undefined where data goes.
function frame() {
  const dark = Array.from({ length: SIZE }, () => new Array(SIZE).fill(undefined));
  const set = (x, y, is) => { if (x >= 0 && y >= 0 && x < SIZE && y < SIZE) dark[y][x] = Boolean(is); };
  const rings = (cx, cy, reach, light) => {
    for (let y = -reach; y <= reach; y += 1) for (let x = -reach; x <= reach; x += 1) set(cx + x, cy + y, !light.includes(Math.max(Math.abs(x), Math.abs(y))));
  };
  for (let n = 0; n < SIZE; n += 1) [[6, n], [n, 6]].forEach(([x, y]) => set(x, y, n % 2 === 0));
  [[3, 3], [SIZE - 4, 3], [3, SIZE - 4]].forEach(([x, y]) => rings(x, y, 4, [2, 4]));
  rings(ALIGNMENT, ALIGNMENT, 2, [1]);
  for (let n = 0; n < 15; n += 1) {
    const bit = (FORMAT >> n) & 1;
    set(n < 8 ? 8 : n === 8 ? 7 : 14 - n, n < 6 ? n : n < 8 ? n + 1 : 8, bit);
    set(n < 8 ? SIZE - 1 - n : 8, n < 8 ? 8 : SIZE - 15 + n, bit);
  }
  set(8, SIZE - 8, true);
  return dark;
}

// Nothing where the text is too long for it.
export function qrPicture(text, label) {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > MOST_BYTES) return null;
  const [words, dark] = [codewords(bytes), frame()];
  let bit = 0;
  for (let right = SIZE - 1; right > 0; right -= right === 8 ? 3 : 2) {
    for (let n = 0; n < 2 * SIZE; n += 1) {
      const [x, y] = [right - (n % 2), (right + (right < 6 ? 1 : 0)) % 4 === 0 ? SIZE - 1 - (n >> 1) : n >> 1];
      if (dark[y][x] === undefined) dark[y][x] = (((words[bit >> 3] >> (7 - (bit++ & 7))) & 1) === 1) !== ((x + y) % 2 === 0);
    }
  }
  const path = dark.flatMap((row, y) => row.map((is, x) => (is ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  const whole = SIZE + 2 * QUIET;
  return svg("svg", { class: "qr", viewBox: `-${QUIET} -${QUIET} ${whole} ${whole}`, role: "img", "aria-label": label }, svg("rect", { x: -QUIET, y: -QUIET, width: whole, height: whole }), svg("path", { d: path }));
}
