// Encryption of values. AES: encrypt(text, key), decrypt(data, key), encryptCbc, decryptCbc; RSA: JSEncrypt.
// FIPS 197, SP 800-38A and 38D, RFC 8017. `import {encrypt} from 'turnout/encrypt'`; JSEncrypt also from
// '@rs/encrypt/v1', as in RudderStack.
//
// A script has no source of chance: a retry makes the same events. So the nonce of AES is derived from key and
// text: equal texts are equal encrypted (and can be joined on), and no nonce is used for two texts. The padding of
// RSA is derived from the event: who knows the public key, the text's likely values and the event's messageId can
// try them. Where that matters, take AES.
import { base64, hmac, utf8 } from 'turnout/hash';

// ---- bytes

function unbase64(text) {
  const raw = atob(String(text).replace(/\s+/g, ""));
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}

function unhex(text) {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.substr(i * 2, 2), 16));
}

function joined(...parts) {
  const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { made.set(part, at); at += part.length; }
  return made;
}

function text(bytes) {
  let escaped = "";
  for (const byte of bytes) escaped += "%" + (byte < 16 ? "0" : "") + byte.toString(16);
  return decodeURIComponent(escaped);
}

// ---- AES

const BOX = new Uint8Array(256), UNBOX = new Uint8Array(256), TWICE = new Uint8Array(256);
const double = (x) => ((x << 1) ^ (x & 0x80 ? 0x11b : 0)) & 0xff;
(() => {
  // Every power of 3 with its inverse, in the field of FIPS 197, 4.2.
  let power = 1, inverse = 1;
  do {
    power ^= double(power);
    inverse ^= inverse << 1; inverse ^= inverse << 2; inverse ^= inverse << 4; inverse &= 0xff;
    if (inverse & 0x80) inverse ^= 0x09;
    const x = inverse | (inverse << 8);
    BOX[power] = (inverse ^ (x >> 7) ^ (x >> 6) ^ (x >> 5) ^ (x >> 4) ^ 0x63) & 0xff;
  } while (power !== 1);
  BOX[0] = 0x63;
  for (let i = 0; i < 256; i++) { UNBOX[BOX[i]] = i; TWICE[i] = double(i); }
})();

function keyBytes(key) {
  const given = key instanceof Uint8Array ? key
    : typeof key !== "string" ? null
    : /^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{48}|[0-9a-fA-F]{64})$/.test(key) ? unhex(key)
    : /^[A-Za-z0-9+/]+={0,2}$/.test(key) && key.length % 4 === 0 ? unbase64(key) : null;
  if (given === null || ![16, 24, 32].includes(given.length)) {
    throw new TypeError("an AES key is 16, 24 or 32 bytes, in hex or base64");
  }
  return given;
}

function expanded(key) {
  const words = key.length / 4, size = 16 * (words + 7), made = new Uint8Array(size);
  made.set(key);
  let constant = 1;
  for (let i = key.length; i < size; i += 4) {
    let last = [made[i - 4], made[i - 3], made[i - 2], made[i - 1]];
    const step = (i / 4) % words;
    if (step === 0) {
      last = [BOX[last[1]] ^ constant, BOX[last[2]], BOX[last[3]], BOX[last[0]]];
      constant = double(constant);
    } else if (words > 6 && step === 4) last = last.map((byte) => BOX[byte]);
    for (let j = 0; j < 4; j++) made[i + j] = made[i + j - key.length] ^ last[j];
  }
  return made;
}

function sealed(keys, block) {
  let state = new Uint8Array(16), next = new Uint8Array(16);
  for (let i = 0; i < 16; i++) state[i] = block[i] ^ keys[i];
  for (let at = 16; at < keys.length; at += 16) {
    const ends = at + 16 === keys.length;
    for (let column = 0; column < 16; column += 4) {
      const a = BOX[state[column]], b = BOX[state[(column + 5) & 15]];
      const c = BOX[state[(column + 10) & 15]], d = BOX[state[(column + 15) & 15]];
      const place = at + column, all = ends ? 0 : a ^ b ^ c ^ d;
      next[column] = a ^ keys[place] ^ (ends ? 0 : all ^ TWICE[a ^ b]);
      next[column + 1] = b ^ keys[place + 1] ^ (ends ? 0 : all ^ TWICE[b ^ c]);
      next[column + 2] = c ^ keys[place + 2] ^ (ends ? 0 : all ^ TWICE[c ^ d]);
      next[column + 3] = d ^ keys[place + 3] ^ (ends ? 0 : all ^ TWICE[d ^ a]);
    }
    [state, next] = [next, state];
  }
  return state;
}

function opened(keys, block) {
  let state = block.map((byte, i) => byte ^ keys[keys.length - 16 + i]);
  for (let at = keys.length - 32; at >= 0; at -= 16) {
    const next = new Uint8Array(16);
    for (let i = 0; i < 16; i++) next[(i + 4 * (i & 3)) & 15] = UNBOX[state[i]];
    for (let i = 0; i < 16; i++) next[i] ^= keys[at + i];
    for (let column = 0; at > 0 && column < 16; column += 4) {
      const [a, b, c, d] = next.subarray(column, column + 4);
      const u = double(double(a ^ c)), v = double(double(b ^ d)), all = a ^ b ^ c ^ d ^ double(u ^ v);
      next[column] = a ^ all ^ double(a ^ b) ^ u;
      next[column + 1] = b ^ all ^ double(b ^ c) ^ v;
      next[column + 2] = c ^ all ^ double(c ^ d) ^ u;
      next[column + 3] = d ^ all ^ double(d ^ a) ^ v;
    }
    state = next;
  }
  return state;
}

// Multiplies in GF(2^128) as SP 800-38D, 6.3; both and the result are four 32-bit words, the first bit highest.
function multiplied(x, y) {
  let z0 = 0, z1 = 0, z2 = 0, z3 = 0, [v0, v1, v2, v3] = y;
  for (const word of x) {
    for (let bits = word, i = 0; i < 32; i++, bits <<= 1) {
      if (bits < 0) { z0 ^= v0; z1 ^= v1; z2 ^= v2; z3 ^= v3; }
      const carry = v3 & 1;
      v3 = (v3 >>> 1) | (v2 << 31);
      v2 = (v2 >>> 1) | (v1 << 31);
      v1 = (v1 >>> 1) | (v0 << 31);
      v0 = (v0 >>> 1) ^ (carry ? 0xe1000000 : 0);
    }
  }
  return [z0, z1, z2, z3];
}

const wordsOf = (block) => {
  const view = new DataView(block.buffer, block.byteOffset, 16);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
};

function counted(keys, nonce, data) {
  const made = new Uint8Array(data.length), counter = joined(nonce, new Uint8Array(4)), view = new DataView(counter.buffer);
  for (let at = 0, number = 2; at < data.length; at += 16, number++) {
    view.setUint32(12, number);
    const stream = sealed(keys, counter);
    for (let i = at; i < Math.min(at + 16, data.length); i++) made[i] = data[i] ^ stream[i - at];
  }
  return made;
}

function tag(keys, nonce, data) {
  const secret = wordsOf(sealed(keys, new Uint8Array(16)));
  const whole = new Uint8Array(Math.ceil(data.length / 16) * 16 + 16);
  whole.set(data);
  new DataView(whole.buffer).setUint32(whole.length - 4, data.length * 8);
  let sum = [0, 0, 0, 0];
  for (let at = 0; at < whole.length; at += 16) {
    const [a, b, c, d] = wordsOf(whole.subarray(at, at + 16));
    sum = multiplied([sum[0] ^ a, sum[1] ^ b, sum[2] ^ c, sum[3] ^ d], secret);
  }
  const first = wordsOf(sealed(keys, joined(nonce, Uint8Array.of(0, 0, 0, 1))));
  const made = new DataView(new ArrayBuffer(16));
  for (let i = 0; i < 4; i++) made.setInt32(i * 4, sum[i] ^ first[i]);
  return new Uint8Array(made.buffer);
}

// AES-GCM; base64 of nonce (12 bytes), encrypted text and tag (16 bytes).
export function encrypt(value, key) {
  const secret = keyBytes(key), data = utf8(value), keys = expanded(secret);
  const nonce = hmac("sha256", secret, joined(utf8("turnout gcm\0"), data), "bytes").subarray(0, 12);
  const hidden = counted(keys, nonce, data);
  return base64(joined(nonce, hidden, tag(keys, nonce, hidden)));
}

export function decrypt(value, key) {
  const keys = expanded(keyBytes(key)), data = unbase64(value);
  if (data.length < 28) throw new Error("decrypt: the data is too short");
  const nonce = data.subarray(0, 12), hidden = data.subarray(12, -16), wanted = tag(keys, nonce, hidden);
  if (data.subarray(-16).reduce((wrong, byte, i) => wrong | (byte ^ wanted[i]), 0)) {
    throw new Error("decrypt: the data was changed, or the key is another");
  }
  return text(counted(keys, nonce, hidden));
}

// AES-CBC with PKCS #7 padding; base64 of IV (16 bytes) and encrypted text. It does not notice changes: prefer GCM.
export function encryptCbc(value, key) {
  const secret = keyBytes(key), data = utf8(value), keys = expanded(secret), over = 16 - (data.length % 16);
  let last = hmac("sha256", secret, joined(utf8("turnout cbc\0"), data), "bytes").subarray(0, 16);
  const plain = joined(data, new Uint8Array(over).fill(over)), made = [last];
  for (let at = 0; at < plain.length; at += 16) {
    last = sealed(keys, plain.slice(at, at + 16).map((byte, i) => byte ^ last[i]));
    made.push(last);
  }
  return base64(joined(...made));
}

export function decryptCbc(value, key) {
  const keys = expanded(keyBytes(key)), data = unbase64(value), made = [];
  if (data.length < 32 || data.length % 16) throw new Error("decryptCbc: the data is no IV and whole blocks");
  for (let at = 16; at < data.length; at += 16) {
    made.push(opened(keys, data.slice(at, at + 16)).map((byte, i) => byte ^ data[at - 16 + i]));
  }
  const plain = joined(...made), over = plain[plain.length - 1];
  if (over < 1 || over > 16 || plain.subarray(-over).some((byte) => byte !== over)) {
    throw new Error("decryptCbc: the data was changed, or the key is another");
  }
  return text(plain.subarray(0, -over));
}

// ---- RSA, PKCS #1 v1.5

const number = (bytes) => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
function numberBytes(value, size) {
  const made = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--, value >>= 8n) made[i] = Number(value & 0xffn);
  return made;
}

function power(base, exponent, modulus) {
  let made = 1n;
  for (base %= modulus; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) made = (made * base) % modulus;
    base = (base * base) % modulus;
  }
  return made;
}

// DER as [tag, content]; a sequence's content are its parts.
function der(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at++];
    let size = bytes[at++];
    if (size > 0x80) {
      let count = size & 0x7f;
      for (size = 0; count > 0; count--) size = size * 256 + bytes[at++];
    }
    if (!(at + size <= bytes.length)) throw new Error("not DER");
    const content = bytes.subarray(at, at + size);
    parts.push([kind, kind === 0x30 ? der(content) : content]);
    at += size;
  }
  return parts;
}

function rsaKey(pem) {
  try {
    const body = String(pem).replace(/-----[^-]*-----/g, "").replace(/\s+/g, "");
    let parts = der(unbase64(body))[0][1];
    if (parts[0][0] === 0x30) parts = der(parts[1][1].subarray(1))[0][1]; // SubjectPublicKeyInfo
    else if (parts[1][0] === 0x30) parts = der(parts[2][1])[0][1]; // PKCS #8
    const numbers = parts.map(([, content]) => number(content));
    return numbers.length < 9 ? { n: numbers[0], e: numbers[1] } : {
      n: numbers[1], e: numbers[2], d: numbers[3], p: numbers[4], q: numbers[5],
      dp: numbers[6], dq: numbers[7], inverse: numbers[8],
    };
  } catch {
    throw new TypeError("an RSA key is PEM: PUBLIC KEY, RSA PUBLIC KEY, PRIVATE KEY or RSA PRIVATE KEY");
  }
}

// encrypt() gives base64, decrypt() text; both give false where there is no key for it or the text does not fit.
export class JSEncrypt {
  #key = null;
  setKey(pem) { this.#key = rsaKey(pem); }
  setPublicKey(pem) { this.setKey(pem); }
  setPrivateKey(pem) { this.setKey(pem); }
  encrypt(value) {
    if (this.#key === null) return false;
    const { n, e } = this.#key, size = Math.ceil(n.toString(16).length / 2), data = utf8(value);
    if (data.length > size - 11) return false;
    const noise = Uint8Array.from({ length: size - data.length - 3 }, () => 1 + Math.floor(Math.random() * 255));
    const block = joined(Uint8Array.of(0, 2), noise, Uint8Array.of(0), data);
    return base64(numberBytes(power(number(block), e, n), size));
  }
  decrypt(value) {
    if (this.#key?.d === undefined) return false;
    const { n, p, q, dp, dq, inverse } = this.#key, hidden = number(unbase64(value));
    const one = power(hidden, dp, p), two = power(hidden, dq, q);
    const made = two + q * ((((one - two) % p + p) * inverse) % p);
    const block = numberBytes(made, Math.ceil(n.toString(16).length / 2)), end = block.indexOf(0, 2);
    if (block[0] !== 0 || block[1] !== 2 || end < 10) return false;
    return text(block.subarray(end + 1));
  }
}

export default { encrypt, decrypt, encryptCbc, decryptCbc, JSEncrypt };
