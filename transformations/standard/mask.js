// Personal data made unreadable: maskEmail, maskPhone, maskCard, maskIp, maskText, redact(value, keys), scrub(text).
// `import {redact, scrub} from 'turnout/mask'`. Where values must still be told apart, hash them: 'turnout/hash'.

const stars = (count) => "*".repeat(Math.max(0, Math.min(count, 64)));

// The first `first` and last `last` characters, and stars between them.
export function maskText(text, first = 1, last = 0) {
  const all = [...String(text ?? "")];
  if (all.length <= first + last) return stars(all.length);
  return all.slice(0, first).join("") + stars(all.length - first - last) + (last ? all.slice(-last).join("") : "");
}

// a**@example.com; what is no address is masked whole.
export function maskEmail(email) {
  const text = String(email ?? ""), at = text.lastIndexOf("@");
  return at < 1 ? stars(text.length) : maskText(text.slice(0, at)) + text.slice(at);
}

// Digits but the last `keep` become stars.
export function maskPhone(phone, keep = 3) {
  const text = String(phone ?? "");
  let left = text.replace(/[^0-9]/g, "").length - keep;
  return text.replace(/[0-9]/g, (digit) => (left-- > 0 ? "*" : digit));
}

export const maskCard = (card) => maskPhone(card, 4);

// 203.0.113.7 → 203.0.113.0; of IPv6 the first three groups stay.
export function maskIp(ip) {
  const text = String(ip ?? "");
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.replace(/\d+$/, "0");
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return "";
  const [head, tail] = text.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const whole = [...groups, ...Array(Math.max(0, missing)).fill("0"), ...(tail ? tail.split(":") : [])];
  return `${whole.slice(0, 3).map((group) => group.toLowerCase()).join(":")}::`;
}

// A copy in which the values of these keys, in whatever case and depth, are `replacement`.
export function redact(value, keys, replacement = "[redacted]") {
  const hidden = new Set([keys].flat().map((key) => String(key).toLowerCase()));
  const walk = (node) => {
    if (Array.isArray(node)) return node.map(walk);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, inner]) =>
      [key, hidden.has(key.toLowerCase()) ? replacement : walk(inner)]));
  };
  return walk(value);
}

function luhn(digits) {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]) * (i % 2 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}

// Free text with e-mail addresses, card numbers and US social security numbers replaced; in a value, every text.
export function scrub(value) {
  if (Array.isArray(value)) return value.map(scrub);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, scrub(inner)]));
  }
  if (typeof value !== "string") return value;
  return value
    .replace(/[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+/gi, "[email]")
    .replace(/\b[0-9](?:[ -]?[0-9]){12,18}\b/g, (card) => (luhn(card.replace(/[^0-9]/g, "")) ? "[card]" : card))
    .replace(/\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b/g, "[ssn]");
}

export default { maskText, maskEmail, maskPhone, maskCard, maskIp, redact, scrub };
