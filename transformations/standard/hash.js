// Hashes of text (as UTF-8) or bytes: sha256(text), sha256(text, "base64"), hmac("sha256", key, text), cyrb53(text).
// FIPS 180-4, RFC 1321, RFC 2104. `import {sha256} from 'turnout/hash'`, or '@rs/hash/v1' as in RudderStack.

// The fractional parts of the cube roots of the first 80 primes, and of the square roots of the first 8.
const ROOTS =
  "428a2f98d728ae227137449123ef65cdb5c0fbcfec4d3b2fe9b5dba58189dbbc3956c25bf348b53859f111f1b605d019" +
  "923f82a4af194f9bab1c5ed5da6d8118d807aa98a303024212835b0145706fbe243185be4ee4b28c550c7dc3d5ffb4e2" +
  "72be5d74f27b896f80deb1fe3b1696b19bdc06a725c71235c19bf174cf692694e49b69c19ef14ad2efbe4786384f25e3" +
  "0fc19dc68b8cd5b5240ca1cc77ac9c652de92c6f592b02754a7484aa6ea6e4835cb0a9dcbd41fbd476f988da831153b5" +
  "983e5152ee66dfaba831c66d2db43210b00327c898fb213fbf597fc7beef0ee4c6e00bf33da88fc2d5a79147930aa725" +
  "06ca6351e003826f142929670a0e6e7027b70a8546d22ffc2e1b21385c26c9264d2c6dfc5ac42aed53380d139d95b3df" +
  "650a73548baf63de766a0abb3c77b2a881c2c92e47edaee692722c851482353ba2bfe8a14cf10364a81a664bbc423001" +
  "c24b8b70d0f89791c76c51a30654be30d192e819d6ef5218d69906245565a910f40e35855771202a106aa07032bbd1b8" +
  "19a4c116b8d2d0c81e376c085141ab532748774cdf8eeb9934b0bcb5e19b48a8391c0cb3c5c95a634ed8aa4ae3418acb" +
  "5b9cca4f7763e373682e6ff3d6b2b8a3748f82ee5defb2fc78a5636f43172f6084c87814a1f0ab728cc702081a6439ec" +
  "90befffa23631e28a4506cebde82bde9bef9a3f7b2c67915c67178f2e372532bca273eceea26619cd186b8c721c0c207" +
  "eada7dd6cde0eb1ef57d4f7fee6ed17806f067aa72176fba0a637dc5a2c898a6113f9804bef90dae1b710b35131c471b" +
  "28db77f523047d8432caab7b40c724933c9ebe0a15c9bebc431d67c49c100d4c4cc5d4becb3e42b6597f299cfc657e2a" +
  "5fcb6fab3ad6faec6c44198c4a475817";
const START = "6a09e667f3bcc908bb67ae8584caa73b3c6ef372fe94f82ba54ff53a5f1d36f1" +
  "510e527fade682d19b05688c2b3e6c1f1f83d9abfb41bd6b5be0cd19137e2179";

function words(hex, step) {
  const found = new Uint32Array(hex.length / step);
  for (let i = 0; i < found.length; i++) found[i] = parseInt(hex.substr(i * step, 8), 16);
  return found;
}

let tables = null;
// Pairs of high and low words; of SHA-256 are the high ones of the first 64.
const table = () => (tables ??= {
  k: words(ROOTS, 8), h: words(START, 8), k32: Int32Array.from({ length: 64 }, (_, i) => parseInt(ROOTS.substr(i * 16, 8), 16)),
});

export function utf8(value) {
  if (value instanceof Uint8Array) return value;
  if (value === null || value === undefined) throw new TypeError("there is no text: a value is null or undefined");
  const text = String(value), bytes = [];
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code >= 0xd800 && code < 0xe000) {
      const low = text.charCodeAt(i + 1);
      if (code < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else code = 0xfffd;
    }
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}

export function hex(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += (bytes[i] < 16 ? "0" : "") + bytes[i].toString(16);
  return text;
}

export function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]);
  return btoa(text);
}

function written(bytes, encoding) {
  if (encoding === undefined || encoding === "hex") return hex(bytes);
  if (encoding === "base64") return base64(bytes);
  if (encoding === "bytes") return bytes;
  throw new TypeError(`encoding is hex, base64 or bytes, not ${String(encoding)}`);
}

// The message with its padding: a one, zeros, and its length in bits at the end of a whole block.
function padded(bytes, block, little) {
  const room = block / 8;
  const size = Math.ceil((bytes.length + 1 + room) / block) * block;
  const made = new Uint8Array(size);
  made.set(bytes);
  made[bytes.length] = 0x80;
  const view = new DataView(made.buffer), high = Math.floor(bytes.length / 0x20000000), low = (bytes.length << 3) >>> 0;
  view.setUint32(little ? size - 4 : size - 8, high, little);
  view.setUint32(little ? size - 8 : size - 4, low, little);
  return view;
}

function bytesOf(state, count, little) {
  const made = new Uint8Array(count), view = new DataView(made.buffer);
  for (let i = 0; i < count / 4; i++) view.setUint32(i * 4, state[i], little);
  return made;
}

const left = (x, n) => (x << n) | (x >>> (32 - n));

const TURNS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
function md5Bytes(bytes) {
  const view = padded(bytes, 64, true), state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  for (let at = 0; at < view.byteLength; at += 64) {
    let [a, b, c, d] = state;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const mixed = round === 0 ? (b & c) | (~b & d) : round === 1 ? (d & b) | (~d & c) : round === 2 ? b ^ c ^ d : c ^ (b | ~d);
      const place = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] & 15;
      const sum = (a + mixed + view.getUint32(at + place * 4, true) + Math.floor(Math.abs(Math.sin(i + 1)) * 4294967296)) | 0;
      a = d; d = c; c = b;
      b = (b + left(sum, TURNS[round * 4 + (i & 3)])) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
  }
  return bytesOf(state, 16, true);
}

function sha1Bytes(bytes) {
  const view = padded(bytes, 64), w = new Uint32Array(80);
  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 80; i++) {
      w[i] = i < 16 ? view.getUint32(at + i * 4) : left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    let [a, b, c, d, e] = state;
    for (let i = 0; i < 80; i++) {
      const round = Math.floor(i / 20);
      const mixed = round === 0 ? (b & c) | (~b & d) : round === 2 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
      const sum = (left(a, 5) + mixed + e + w[i] + [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6][round]) | 0;
      e = d; d = c; c = left(b, 30); b = a; a = sum;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e;
  }
  return bytesOf(state, 20);
}

// Rotations are written out here: calls would be half of the time.
function sha256Bytes(bytes) {
  const { k32, h } = table(), view = padded(bytes, 64), w = new Int32Array(64), state = new Int32Array(8);
  for (let i = 0; i < 8; i++) state[i] = h[i * 2];
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + i * 4);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      w[i] = ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ (x >>> 3)) + w[i - 7]
        + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ (y >>> 10)) + w[i - 16];
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], last = state[7];
    for (let i = 0; i < 64; i++) {
      const one = last + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7))
        + ((e & f) ^ (~e & g)) + k32[i] + w[i] | 0;
      const two = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + ((a & b) ^ (a & c) ^ (b & c)) | 0;
      last = g; g = f; f = e; e = d + one | 0; d = c; c = b; b = a; a = one + two | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d;
    state[4] += e; state[5] += f; state[6] += g; state[7] += last;
  }
  return bytesOf(state, 32);
}

function sha512Bytes(bytes) {
  const { k, h } = table(), view = padded(bytes, 128), mask = (1n << 64n) - 1n;
  const turn = (x, n) => (x >> n) | ((x << (64n - n)) & mask);
  const wide = (list, i) => (BigInt(list[i * 2]) << 32n) | BigInt(list[i * 2 + 1]);
  const state = [], w = [];
  for (let i = 0; i < 8; i++) state[i] = wide(h, i);
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 80; i++) {
      if (i < 16) { w[i] = view.getBigUint64(at + i * 8); continue; }
      const x = w[i - 15], y = w[i - 2];
      const one = turn(x, 1n) ^ turn(x, 8n) ^ (x >> 7n), two = turn(y, 19n) ^ turn(y, 61n) ^ (y >> 6n);
      w[i] = (one + w[i - 7] + two + w[i - 16]) & mask;
    }
    let [a, b, c, d, e, f, g, last] = state;
    for (let i = 0; i < 80; i++) {
      const one = last + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + ((e & f) ^ ((e ^ mask) & g)) + wide(k, i) + w[i];
      const two = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + ((a & b) ^ (a & c) ^ (b & c));
      last = g; g = f; f = e; e = (d + one) & mask; d = c; c = b; b = a; a = (one + two) & mask;
    }
    const now = [a, b, c, d, e, f, g, last];
    for (let i = 0; i < 8; i++) state[i] = (state[i] + now[i]) & mask;
  }
  const made = new DataView(new ArrayBuffer(64));
  for (let i = 0; i < 8; i++) made.setBigUint64(i * 8, state[i]);
  return new Uint8Array(made.buffer);
}

const ALGORITHMS = { md5: [md5Bytes, 64], sha1: [sha1Bytes, 64], sha256: [sha256Bytes, 64], sha512: [sha512Bytes, 128] };

export const md5 = (value, encoding) => written(md5Bytes(utf8(value)), encoding);
export const sha1 = (value, encoding) => written(sha1Bytes(utf8(value)), encoding);
export const sha256 = (value, encoding) => written(sha256Bytes(utf8(value)), encoding);
export const sha512 = (value, encoding) => written(sha512Bytes(utf8(value)), encoding);

export function hmac(algorithm, key, value, encoding) {
  if (!Object.hasOwn(ALGORITHMS, algorithm)) throw new TypeError(`hmac knows ${Object.keys(ALGORITHMS).join(", ")}`);
  const [hash, block] = ALGORITHMS[algorithm];
  let secret = utf8(key);
  if (secret.length > block) secret = hash(secret);
  const message = utf8(value), inner = new Uint8Array(block + message.length), outer = new Uint8Array(block);
  for (let i = 0; i < block; i++) {
    inner[i] = (secret[i] ?? 0) ^ 0x36;
    outer[i] = (secret[i] ?? 0) ^ 0x5c;
  }
  inner.set(message, block);
  const first = hash(inner), whole = new Uint8Array(block + first.length);
  whole.set(outer);
  whole.set(first, block);
  return written(hash(whole), encoding);
}

// A number of 53 bits for sampling and buckets, no secret: cyrb53 (public domain, bryc).
export function cyrb53(value, seed = 0) {
  const text = String(value);
  let high = 0xdeadbeef ^ seed, low = 0x41c6ce57 ^ seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}

export default { md5, sha1, sha256, sha512, hmac, cyrb53 };
