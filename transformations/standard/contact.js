// E-mail addresses and phone numbers in the one form that tools match on: normalizeEmail(text), emailDomain(text),
// normalizePhone(text, country). What is none gives null. `import {normalizeEmail} from 'turnout/contact'`.

const EMAIL = /^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\.]+(?:\.[^\s@<>,;:"()[\]\\.]+)+$/;

// Without blanks around it and in small letters; with {gmail: true} also without what Gmail passes over: dots and
// what follows a + in addresses of gmail.com and googlemail.com.
export function normalizeEmail(text, options = {}) {
  if (typeof text !== "string") return null;
  const email = text.trim().replace(/^mailto:/i, "").toLowerCase();
  if (email.length > 254 || !EMAIL.test(email)) return null;
  const at = email.lastIndexOf("@"), domain = email.slice(at + 1);
  if (options.gmail !== true || !["gmail.com", "googlemail.com"].includes(domain)) return email;
  return `${email.slice(0, at).split("+")[0].replace(/\./g, "")}@gmail.com`;
}

export function emailDomain(text) {
  const email = normalizeEmail(text);
  return email === null ? null : email.slice(email.lastIndexOf("@") + 1);
}

// ITU-T E.164, by ISO 3166 code.
const CODES = {
  AE: 971, AR: 54, AT: 43, AU: 61, BE: 32, BG: 359, BR: 55, CA: 1, CH: 41, CL: 56, CN: 86, CO: 57, CY: 357, CZ: 420,
  DE: 49, DK: 45, EE: 372, EG: 20, ES: 34, FI: 358, FR: 33, GB: 44, GR: 30, HK: 852, HR: 385, HU: 36, ID: 62, IE: 353,
  IL: 972, IN: 91, IS: 354, IT: 39, JP: 81, KE: 254, KR: 82, LT: 370, LU: 352, LV: 371, MA: 212, MT: 356, MX: 52,
  MY: 60, NG: 234, NL: 31, NO: 47, NZ: 64, PE: 51, PH: 63, PK: 92, PL: 48, PT: 351, RO: 40, RS: 381, RU: 7, SA: 966,
  SE: 46, SG: 65, SI: 386, SK: 421, TH: 66, TR: 90, TW: 886, UA: 380, US: 1, VN: 84, ZA: 27,
};
// Where a national number begins with something else than one 0 that is left out abroad.
const TRUNKS = { 1: "1", 7: "8", 36: "06", 39: "", 34: "", 45: "", 47: "", 30: "", 351: "", 352: "", 356: "", 357: "",
  354: "", 371: "", 372: "", 420: "", 48: "", 52: "", 65: "", 852: "", 370: "0" };

// +, country code and number (E.164); `country` is an ISO code (GB) or a calling code (44), for numbers without one.
export function normalizePhone(text, country) {
  if (typeof text !== "string" && typeof text !== "number") return null;
  const given = String(text).trim().replace(/^tel:/i, "").replace(/(?:ext\.?|x|#|;).*$/i, "").replace(/\(0\)/, "");
  if (!/^\+?[0-9\s().\/-]+$/.test(given)) return null;
  let digits = given.replace(/[^0-9]/g, "");
  if (given.startsWith("+")) return checked(digits);
  if (digits.startsWith("00")) return checked(digits.slice(2));
  const code = CODES[String(country).toUpperCase()] ?? Number(String(country ?? "").replace(/^\+/, ""));
  if (!(code > 0)) return null;
  const trunk = TRUNKS[code] ?? "0";
  if (trunk !== "" && digits.startsWith(trunk)) digits = digits.slice(trunk.length);
  return checked(`${code}${digits}`);
}

const checked = (digits) => (/^[1-9][0-9]{6,14}$/.test(digits) ? `+${digits}` : null);

export default { normalizeEmail, emailDomain, normalizePhone };
