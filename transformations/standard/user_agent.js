// What a User-Agent header says: parseUserAgent(text), isBot(text), and UAParser as in RudderStack.
// {ua, browser: {name, version, major}, engine: {name, version}, os: {name, version}, device: {vendor, model, type},
// cpu: {architecture}}; what it does not say is left out. `import {parseUserAgent} from 'turnout/userAgent'`, or
// '@rs/userAgentParser/v1'. The tables name what most people use; browsers that hide what they are stay hidden.

// The first that fits; group 1 is the version.
const BROWSERS = [
  [/\bedg(?:e|a|ios)?\/([\w.]+)/i, "Edge"],
  [/\b(?:opr|opios|opt)\/([\w.]+)/i, "Opera"],
  [/\bopera[ /]([\w.]+)/i, "Opera"],
  [/\bsamsungbrowser\/([\w.]+)/i, "Samsung Internet"],
  [/\bucbrowser\/([\w.]+)/i, "UCBrowser"],
  [/\byabrowser\/([\w.]+)/i, "Yandex"],
  [/\bvivaldi\/([\w.]+)/i, "Vivaldi"],
  [/\b(?:ddg|duckduckgo)\/([\w.]+)/i, "DuckDuckGo"],
  [/\bmiuibrowser\/([\w.]+)/i, "MIUI Browser"],
  [/\bhuaweibrowser\/([\w.]+)/i, "Huawei Browser"],
  [/\binstagram[ /]([\w.]+)/i, "Instagram"],
  [/\bfbav\/([\w.]+)/i, "Facebook"],
  [/\blinkedinapp\/([\w.]+)/i, "LinkedIn"],
  [/\bgsa\/([\w.]+)/i, "GSA"],
  [/\belectron\/([\w.]+)/i, "Electron"],
  [/\bheadlesschrome\/([\w.]+)/i, "Chrome Headless"],
  [/\bcrios\/([\w.]+)/i, "Chrome"],
  [/\bfxios\/([\w.]+)/i, "Firefox"],
  [/; wv\).+ chrome\/([\w.]+)/i, "Chrome WebView"],
  [/\bchromium\/([\w.]+)/i, "Chromium"],
  [/\bchrome\/([\w.]+)/i, "Chrome"],
  [/\bandroid\b.+ version\/([\w.]+)/i, "Android Browser"],
  [/\bversion\/([\w.]+) mobile\/\w+ safari/i, "Mobile Safari"],
  [/\bversion\/([\w.]+) .*safari/i, "Safari"],
  [/\bfirefox\/([\w.]+)/i, "Firefox"],
  [/\bmsie ([\w.]+)/i, "IE"],
  [/\btrident\/.+ rv:([\w.]+)/i, "IE"],
];
const ENGINES = [
  [/\bedge\/([\w.]+)/i, "EdgeHTML"],
  [/\bchrom(?:e|ium)\/((?:2[89]|[3-9]\d|\d{3})[\w.]*)/i, "Blink"],
  [/webkit\/([\w.]+)/i, "WebKit"],
  [/\bpresto\/([\w.]+)/i, "Presto"],
  [/\btrident\/([\w.]+)/i, "Trident"],
  [/\brv:([\w.]+)\) gecko/i, "Gecko"],
];
const SYSTEMS = [
  [/\bwindows phone(?: os)? ([\w.]+)/i, "Windows Phone"],
  [/\bwindows nt ([\w.]+)/i, "Windows"],
  [/\bwindows\b()/i, "Windows"],
  [/\b(?:iphone|ipad|ipod)\b.* os ([\d_]+)/i, "iOS"],
  [/\bharmonyos[ /]?([\d.]*)/i, "HarmonyOS"],
  [/\bandroid[ -]?([\d.]*)/i, "Android"],
  [/\bcros \w+ ([\d.]+)/i, "Chromium OS"],
  [/\btizen[ /]?([\d.]*)/i, "Tizen"],
  [/\bweb0s\b()|\bwebos\b()/i, "webOS"],
  [/\bplaystation (\w+)/i, "PlayStation"],
  [/\bmac os x ?([\d_.]*)/i, "Mac OS"],
  [/\bubuntu[ /]?([\d.]*)/i, "Ubuntu"],
  [/\bfedora[ /]?([\d.]*)/i, "Fedora"],
  [/\bfreebsd ?([\d.]*)/i, "FreeBSD"],
  [/\blinux\b()/i, "Linux"],
];
const WINDOWS = { "10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista", "5.2": "XP", "5.1": "XP", "5.0": "2000" };
// Vendor by how a model of Android begins.
const VENDORS = [
  [/^(?:sm|gt|sch|sgh|shv|samsung)[- ]/i, "Samsung"],
  [/^(?:pixel|nexus)\b/i, "Google"],
  [/^(?:redmi|poco|mi |mi-|xiaomi|m20\d\d|2\d{6,}[a-z])/i, "Xiaomi"],
  [/^(?:huawei|honor|ele-|vog-|ane-|mar-|lya-|clt-)/i, "Huawei"],
  [/^(?:moto|xt\d)/i, "Motorola"],
  [/^(?:oneplus|hd19|in20|kb20|le21|ne22|cph24)/i, "OnePlus"],
  [/^(?:oppo|cph\d)/i, "OPPO"],
  [/^(?:vivo|v2\d\d\d)/i, "Vivo"],
  [/^rmx\d/i, "Realme"],
  [/^(?:lg-|lm-)/i, "LG"],
  [/^(?:nokia|ta-\d)/i, "Nokia"],
  [/^(?:sony|xq-|so-\d|[fg]\d{4}$)/i, "Sony"],
  [/^kf[a-z]{2,}/i, "Amazon"],
  [/^lenovo/i, "Lenovo"],
  [/^(?:asus|zs6)/i, "ASUS"],
];
const PROCESSORS = [
  [/\b(?:amd64|x86_64|x86-64|wow64|win64|x64)\b/i, "amd64"],
  [/\b(?:aarch64|arm64|armv8\w*)\b/i, "arm64"],
  [/\barm(?:v\d\w*)?\b/i, "arm"],
  [/\b(?:i[346]86|ia32|x86)\b/i, "ia32"],
  [/\bppc\b|\bpowerpc\b/i, "ppc"],
];
const BOT = /bot\b|bot[/;_ -]|crawl|spider|slurp|facebookexternalhit|mediapartners|feedfetcher|lighthouse|headless|phantomjs|^$|^(?:curl|wget|python|java|go-http-client|okhttp|axios|node|ruby|libwww|scrapy)\b/i;
const MOST = 1000; // characters that are looked at

function first(table, text) {
  for (const [pattern, name] of table) {
    const found = pattern.exec(text);
    if (found !== null) return { name, version: found[1] };
  }
  return {};
}

// Without what is not known.
const known = (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined && value !== ""));

function deviceOf(text) {
  const apple = /\b(iphone|ipad|ipod|macintosh|apple ?tv)\b/i.exec(text)?.[1].toLowerCase().replace(" ", "");
  if (apple === "iphone") return { vendor: "Apple", model: "iPhone", type: "mobile" };
  if (apple === "ipod") return { vendor: "Apple", model: "iPod", type: "mobile" };
  if (apple === "ipad") return { vendor: "Apple", model: "iPad", type: "tablet" };
  if (apple === "appletv") return { vendor: "Apple", model: "Apple TV", type: "smarttv" };
  if (apple === "macintosh") return { vendor: "Apple", model: "Macintosh" };
  const console = /\b(playstation|xbox|nintendo) ?([\w]*)/i.exec(text);
  if (console !== null) {
    const vendor = { playstation: "Sony", xbox: "Microsoft", nintendo: "Nintendo" }[console[1].toLowerCase()];
    return { vendor, model: console[0].trim(), type: "console" };
  }
  if (/smart-?tv|googletv|android tv|hbbtv|web0s|\bbravia\b|\baft[a-z]\b/i.test(text)) return { type: "smarttv" };
  const model = /\bandroid[^;)]*;(?: [a-z]{2}[-_][a-z]{2};)? ([^;)]+?)(?: build\/[^;)]*)?(?:; wv)?[;)]/i.exec(text)?.[1];
  if (/\bandroid\b|\bharmonyos\b/i.test(text)) {
    const type = /\bmobile\b/i.test(text) ? "mobile" : "tablet";
    if (model === undefined || /^(?:k|mobile|tablet|wv|rv:.*)$/i.test(model)) return { type };
    return { vendor: first(VENDORS, model).name, model: model.replace(/^(?:samsung|huawei|xiaomi) /i, ""), type };
  }
  return /\bmobile\b|\bwindows phone\b/i.test(text) ? { type: "mobile" } : {};
}

export function parseUserAgent(agent) {
  const ua = String(agent ?? ""), text = ua.slice(0, MOST);
  const browser = first(BROWSERS, text), os = first(SYSTEMS, text);
  if (os.name === "Windows") os.version = WINDOWS[os.version] ?? os.version;
  if (os.version) os.version = os.version.replace(/_/g, ".");
  return {
    ua, browser: known({ ...browser, major: browser.version?.split(".")[0] }), engine: known(first(ENGINES, text)),
    os: known(os), device: known(deviceOf(text)), cpu: known({ architecture: first(PROCESSORS, text).name }),
  };
}

// Whether a program says by itself that it is one.
export const isBot = (agent) => BOT.test(String(agent ?? "").slice(0, MOST));

// https://docs.uaparser.dev: setUA, getResult, getBrowser, getEngine, getOS, getDevice, getCPU.
export class UAParser {
  #agent;
  constructor(agent = "") { this.#agent = String(agent); }
  setUA(agent) { this.#agent = String(agent ?? ""); return this; }
  getUA() { return this.#agent; }
  getResult() { return parseUserAgent(this.#agent); }
  getBrowser() { return this.getResult().browser; }
  getEngine() { return this.getResult().engine; }
  getOS() { return this.getResult().os; }
  getDevice() { return this.getResult().device; }
  getCPU() { return this.getResult().cpu; }
}

export default { parseUserAgent, isBot, UAParser };
