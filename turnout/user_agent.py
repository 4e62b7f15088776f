"""What a User-Agent header says: parse_user_agent(text), is_bot(text). `from turnout.user_agent import …`.

{ua, browser: {name, version, major}, engine: {name, version}, os: {name, version}, device: {vendor, model,
type}, cpu: {architecture}}; what it does not say is left out. The same tables as the JavaScript library.

The text of this module is what a script gets that imports it, so it stands alone and keeps to the policy.
"""

import re
from typing import Any


def table(rows: list[tuple[str, str]]) -> list[tuple[Any, str]]:
    """Patterns and names, ready to be searched for."""
    return [(re.compile(pattern, re.IGNORECASE | re.ASCII), name) for pattern, name in rows]


BROWSERS = table([
    (r"\bedg(?:e|a|ios)?/([\w.]+)", "Edge"),
    (r"\b(?:opr|opios|opt)/([\w.]+)", "Opera"),
    (r"\bopera[ /]([\w.]+)", "Opera"),
    (r"\bsamsungbrowser/([\w.]+)", "Samsung Internet"),
    (r"\bucbrowser/([\w.]+)", "UCBrowser"),
    (r"\byabrowser/([\w.]+)", "Yandex"),
    (r"\bvivaldi/([\w.]+)", "Vivaldi"),
    (r"\b(?:ddg|duckduckgo)/([\w.]+)", "DuckDuckGo"),
    (r"\bmiuibrowser/([\w.]+)", "MIUI Browser"),
    (r"\bhuaweibrowser/([\w.]+)", "Huawei Browser"),
    (r"\binstagram[ /]([\w.]+)", "Instagram"),
    (r"\bfbav/([\w.]+)", "Facebook"),
    (r"\blinkedinapp/([\w.]+)", "LinkedIn"),
    (r"\bgsa/([\w.]+)", "GSA"),
    (r"\belectron/([\w.]+)", "Electron"),
    (r"\bheadlesschrome/([\w.]+)", "Chrome Headless"),
    (r"\bcrios/([\w.]+)", "Chrome"),
    (r"\bfxios/([\w.]+)", "Firefox"),
    (r"; wv\).+ chrome/([\w.]+)", "Chrome WebView"),
    (r"\bchromium/([\w.]+)", "Chromium"),
    (r"\bchrome/([\w.]+)", "Chrome"),
    (r"\bandroid\b.+ version/([\w.]+)", "Android Browser"),
    (r"\bversion/([\w.]+) mobile/\w+ safari", "Mobile Safari"),
    (r"\bversion/([\w.]+) .*safari", "Safari"),
    (r"\bfirefox/([\w.]+)", "Firefox"),
    (r"\bmsie ([\w.]+)", "IE"),
    (r"\btrident/.+ rv:([\w.]+)", "IE"),
])
"""The first that fits; group 1 is the version."""
ENGINES = table([
    (r"\bedge/([\w.]+)", "EdgeHTML"),
    (r"\bchrom(?:e|ium)/((?:2[89]|[3-9]\d|\d{3})[\w.]*)", "Blink"),
    (r"webkit/([\w.]+)", "WebKit"),
    (r"\bpresto/([\w.]+)", "Presto"),
    (r"\btrident/([\w.]+)", "Trident"),
    (r"\brv:([\w.]+)\) gecko", "Gecko"),
])
SYSTEMS = table([
    (r"\bwindows phone(?: os)? ([\w.]+)", "Windows Phone"),
    (r"\bwindows nt ([\w.]+)", "Windows"),
    (r"\bwindows\b()", "Windows"),
    (r"\b(?:iphone|ipad|ipod)\b.* os ([\d_]+)", "iOS"),
    (r"\bharmonyos[ /]?([\d.]*)", "HarmonyOS"),
    (r"\bandroid[ -]?([\d.]*)", "Android"),
    (r"\bcros \w+ ([\d.]+)", "Chromium OS"),
    (r"\btizen[ /]?([\d.]*)", "Tizen"),
    (r"\bweb0s\b()|\bwebos\b()", "webOS"),
    (r"\bplaystation (\w+)", "PlayStation"),
    (r"\bmac os x ?([\d_.]*)", "Mac OS"),
    (r"\bubuntu[ /]?([\d.]*)", "Ubuntu"),
    (r"\bfedora[ /]?([\d.]*)", "Fedora"),
    (r"\bfreebsd ?([\d.]*)", "FreeBSD"),
    (r"\blinux\b()", "Linux"),
])
WINDOWS = {
    "10.0": "10", "6.3": "8.1", "6.2": "8", "6.1": "7", "6.0": "Vista",
    "5.2": "XP", "5.1": "XP", "5.0": "2000",
}
VENDORS = table([
    (r"^(?:sm|gt|sch|sgh|shv|samsung)[- ]", "Samsung"),
    (r"^(?:pixel|nexus)\b", "Google"),
    (r"^(?:redmi|poco|mi |mi-|xiaomi|m20\d\d|2\d{6,}[a-z])", "Xiaomi"),
    (r"^(?:huawei|honor|ele-|vog-|ane-|mar-|lya-|clt-)", "Huawei"),
    (r"^(?:moto|xt\d)", "Motorola"),
    (r"^(?:oneplus|hd19|in20|kb20|le21|ne22|cph24)", "OnePlus"),
    (r"^(?:oppo|cph\d)", "OPPO"),
    (r"^(?:vivo|v2\d\d\d)", "Vivo"),
    (r"^rmx\d", "Realme"),
    (r"^(?:lg-|lm-)", "LG"),
    (r"^(?:nokia|ta-\d)", "Nokia"),
    (r"^(?:sony|xq-|so-\d|[fg]\d{4}$)", "Sony"),
    (r"^kf[a-z]{2,}", "Amazon"),
    (r"^lenovo", "Lenovo"),
    (r"^(?:asus|zs6)", "ASUS"),
])
"""Vendor by how a model of Android begins."""
PROCESSORS = table([
    (r"\b(?:amd64|x86_64|x86-64|wow64|win64|x64)\b", "amd64"),
    (r"\b(?:aarch64|arm64|armv8\w*)\b", "arm64"),
    (r"\barm(?:v\d\w*)?\b", "arm"),
    (r"\b(?:i[346]86|ia32|x86)\b", "ia32"),
    (r"\bppc\b|\bpowerpc\b", "ppc"),
])
BOT = re.compile(
    r"bot\b|bot[/;_ -]|crawl|spider|slurp|facebookexternalhit|mediapartners|feedfetcher|lighthouse|headless|phantomjs"
    r"|^$|^(?:curl|wget|python|java|go-http-client|okhttp|axios|node|ruby|libwww|scrapy)\b",
    re.IGNORECASE | re.ASCII,
)
MODEL = re.compile(
    r"\bandroid[^;)]*;(?: [a-z]{2}[-_][a-z]{2};)? ([^;)]+?)(?: build/[^;)]*)?(?:; wv)?[;)]",
    re.IGNORECASE | re.ASCII,
)
TELEVISION = re.compile(r"smart-?tv|googletv|android tv|hbbtv|web0s|\bbravia\b|\baft[a-z]\b", re.IGNORECASE | re.ASCII)
APPLE = {
    "iphone": ("iPhone", "mobile"), "ipod": ("iPod", "mobile"), "ipad": ("iPad", "tablet"),
    "appletv": ("Apple TV", "smarttv"), "macintosh": ("Macintosh", ""),
}  # fmt: skip
CONSOLES = {"playstation": "Sony", "xbox": "Microsoft", "nintendo": "Nintendo"}
MOST = 1000
"""Characters that are looked at."""


def first(rows: list[tuple[Any, str]], text: str) -> dict[str, str]:
    """Name and version of the first that fits."""
    for pattern, name in rows:
        found = pattern.search(text)
        if found is not None:
            return {"name": name, "version": (found.groups() or ("",))[0] or ""}
    return {"name": "", "version": ""}


def known(given: dict[str, str]) -> dict[str, str]:
    """Without what is not known."""
    return {key: value for key, value in given.items() if value}


def matches(pattern: str, text: str) -> bool:
    """Whether the text has it, in whatever case."""
    return re.search(pattern, text, re.IGNORECASE | re.ASCII) is not None


def device(text: str) -> dict[str, str]:
    """Vendor, model and type."""
    apple = re.search(r"\b(iphone|ipad|ipod|macintosh|apple ?tv)\b", text, re.IGNORECASE | re.ASCII)
    if apple is not None:
        model, kind = APPLE[apple.group(1).lower().replace(" ", "")]
        return {"vendor": "Apple", "model": model, "type": kind}
    console = re.search(r"\b(playstation|xbox|nintendo) ?([\w]*)", text, re.IGNORECASE | re.ASCII)
    if console is not None:
        vendor = CONSOLES[console.group(1).lower()]
        return {"vendor": vendor, "model": console.group(0).strip(), "type": "console"}
    if TELEVISION.search(text):
        return {"type": "smarttv"}
    if matches(r"\bandroid\b|\bharmonyos\b", text):
        kind = "mobile" if matches(r"\bmobile\b", text) else "tablet"
        found = MODEL.search(text)
        if found is None or matches(r"^(?:k|mobile|tablet|wv|rv:.*)$", found.group(1)):
            return {"type": kind}
        model = found.group(1)
        plain = re.sub(r"^(?:samsung|huawei|xiaomi) ", "", model, flags=re.IGNORECASE)
        return {"vendor": first(VENDORS, model)["name"], "model": plain, "type": kind}
    return {"type": "mobile"} if matches(r"\bmobile\b|\bwindows phone\b", text) else {}


def parse_user_agent(agent: Any) -> dict[str, Any]:
    """All that it says; empty parts where it says nothing."""
    ua = "" if agent is None else str(agent)
    text = ua[:MOST]
    browser, system = first(BROWSERS, text), first(SYSTEMS, text)
    if system["name"] == "Windows":
        system["version"] = WINDOWS.get(system["version"], system["version"])
    system["version"] = system["version"].replace("_", ".")
    return {
        "ua": ua, "browser": known({**browser, "major": browser["version"].split(".")[0]}),
        "engine": known(first(ENGINES, text)), "os": known(system), "device": known(device(text)),
        "cpu": known({"architecture": first(PROCESSORS, text)["name"]}),
    }  # fmt: skip


def is_bot(agent: Any) -> bool:
    """Whether a program says by itself that it is one."""
    return BOT.search("" if agent is None else str(agent)[:MOST]) is not None
