// Addresses of pages: parseUrl(url), query(url), utm(url), URLSearchParams.
// RFC 3986; URLSearchParams as in https://url.spec.whatwg.org/#interface-urlsearchparams. `import {utm} from
// 'turnout/url'`; '@rs/urlParser/v1' is the same. What is no URL gives null, and never an error.

function decoded(text) {
  const plain = text.replace(/\+/g, " ");
  try {
    return decodeURIComponent(plain);
  } catch { // a stray %: what can be decoded is, the rest stays
    return plain.replace(/(?:%[0-9a-f]{2})+/gi, (part) => { try { return decodeURIComponent(part); } catch { return part; } });
  }
}

const encoded = (text) => encodeURIComponent(text).replace(/%20/g, "+").replace(/[!'()~]/g, (character) =>
  "%" + character.charCodeAt(0).toString(16).toUpperCase());

function pairs(search) {
  const found = [];
  for (const part of String(search).replace(/^\?/, "").split("&")) {
    if (part === "") continue;
    const at = part.indexOf("=");
    found.push(at < 0 ? [decoded(part), ""] : [decoded(part.slice(0, at)), decoded(part.slice(at + 1))]);
  }
  return found;
}

export class URLSearchParams {
  #pairs;
  constructor(given = "") {
    if (given !== null && typeof given === "object") {
      const entries = typeof given[Symbol.iterator] === "function" ? [...given] : Object.entries(given);
      this.#pairs = entries.map(([name, value]) => [String(name), String(value)]);
    } else this.#pairs = pairs(given ?? "");
  }
  get size() { return this.#pairs.length; }
  get(name) { return this.#pairs.find(([key]) => key === String(name))?.[1] ?? null; }
  getAll(name) { return this.#pairs.filter(([key]) => key === String(name)).map(([, value]) => value); }
  has(name) { return this.#pairs.some(([key]) => key === String(name)); }
  append(name, value) { this.#pairs.push([String(name), String(value)]); }
  delete(name) { this.#pairs = this.#pairs.filter(([key]) => key !== String(name)); }
  set(name, value) {
    const at = this.#pairs.findIndex(([key]) => key === String(name));
    if (at < 0) { this.append(name, value); return; }
    this.#pairs[at][1] = String(value);
    this.#pairs = this.#pairs.filter(([key], i) => i === at || key !== String(name));
  }
  sort() { this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)); }
  forEach(each, self) { for (const [name, value] of this.#pairs) each.call(self, value, name, this); }
  *entries() { for (const [name, value] of this.#pairs) yield [name, value]; }
  *keys() { for (const [name] of this.#pairs) yield name; }
  *values() { for (const [, value] of this.#pairs) yield value; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#pairs.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&"); }
}

// {protocol, username, host, hostname, port, path, search, query, fragment}; null for what is no absolute URL.
export function parseUrl(url) {
  const found = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/?#@]*)@)?([^/?#@]*)([^?#]*)(\?[^#]*)?(?:#(.*))?$/is.exec(String(url).trim());
  if (found === null) return null;
  const [, protocol, user, host, path, search = "", fragment = ""] = found;
  const place = /^(\[[0-9a-f:.]+\]|[^:]*)(?::(\d*))?$/i.exec(host);
  if (place === null || (place[1] === "" && protocol.toLowerCase() !== "file")) return null;
  return {
    protocol: protocol.toLowerCase(), username: decoded((user ?? "").split(":")[0]), host: host.toLowerCase(),
    hostname: place[1].toLowerCase(), port: place[2] ? Number(place[2]) : null, path: path || "/", search,
    query: query(search), fragment,
  };
}

// The parameters of a URL, or of what stands behind its ?; the last one of a name counts.
export function query(url) {
  const text = String(url ?? ""), at = text.indexOf("?");
  const search = at >= 0 ? text.slice(at + 1) : /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? "" : text;
  return Object.fromEntries(pairs(search.split("#")[0]));
}

// The utm_ parameters of a URL without their prefix: {source, medium, campaign, term, content, id …}.
export function utm(url) {
  const found = {};
  for (const [name, value] of Object.entries(query(url))) {
    if (/^utm_./i.test(name) && value !== "") found[name.slice(4).toLowerCase()] = value;
  }
  return found;
}

export default { URLSearchParams, parseUrl, query, utm };
