"""The libraries that every script may import: against hashlib and `cryptography`, and Python against JavaScript."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import padding as blocks
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.transformations.conftest import item
from transformations import Pool
from transformations.base import Failed, Library, Script
from transformations.standard import NAMES

pytestmark = pytest.mark.asyncio(loop_scope="module")
DICE = random.Random(7)
TEXTS = ["", "abc", "é😀" * 30, *("x" * n for n in (55, 56, 63, 64, 111, 112, 119, 128, 200)), *(
    "".join(chr(DICE.choice((DICE.randrange(32, 127), DICE.randrange(160, 0xD800)))) for _ in range(n))
    for n in (1, 15, 16, 17, 100)
)]  # fmt: skip
KEYS = [DICE.randbytes(size) for size in (16, 24, 32)]

JS = """
import {md5, sha1, sha256, sha512, hmac, cyrb53} from '@rs/hash/v1';
import * as aes from 'turnout/encrypt';
export function transformEvent({text, key, data}) {
  return {
    md5: md5(text), sha1: sha1(text), sha256: sha256(text), sha512: sha512(text), base64: sha256(text, 'base64'),
    hmac: ['md5', 'sha1', 'sha256', 'sha512'].map(name => hmac(name, key, text)), cyrb53: cyrb53(text),
    seeded: cyrb53(text, 7), gcm: aes.encrypt(text, key), cbc: aes.encryptCbc(text, key),
    back: [aes.decrypt(data.gcm, key), aes.decryptCbc(data.cbc, key)],
  };
}
"""
PY = """
from turnout.hash import md5, sha1, sha256, sha512, hmac, cyrb53
import turnout.encrypt as aes
def transformEvent(event, metadata):
    text, key, data = event["text"], event["key"], event["data"]
    return {
        "md5": md5(text), "sha1": sha1(text), "sha256": sha256(text), "sha512": sha512(text),
        "base64": sha256(text, "base64"), "hmac": [hmac(n, key, text) for n in ("md5", "sha1", "sha256", "sha512")],
        "cyrb53": cyrb53(text), "seeded": cyrb53(text, 7), "gcm": aes.encrypt(text, key),
        "cbc": aes.encrypt_cbc(text, key), "back": [aes.decrypt(data["gcm"], key), aes.decrypt_cbc(data["cbc"], key)],
    }
"""


async def made(pool: Pool, source: str, *events: dict[str, Any], **options: Any) -> list[Any]:
    language = "python" if "def " in source else "javascript"
    script = Script("case", source, file="case", language=language, **options)
    results = await pool.run(script, [item({"messageId": str(n), **event}) for n, event in enumerate(events)])
    return [ran.reason if isinstance(ran, Failed) else json.loads(ran.events[0]) for ran in results]


def encrypted(text: str, key: bytes) -> dict[str, str]:
    """The same as others encrypt it."""
    nonce, iv, pad = DICE.randbytes(12), DICE.randbytes(16), blocks.PKCS7(128).padder()
    aes = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    cbc = iv + aes.update(pad.update(text.encode()) + pad.finalize()) + aes.finalize()
    gcm = nonce + AESGCM(key).encrypt(nonce, text.encode(), None)
    return {"gcm": base64.b64encode(gcm).decode(), "cbc": base64.b64encode(cbc).decode()}


@pytest.mark.parametrize("source", [JS, PY], ids=["javascript", "python"])
async def test_hashes_and_aes_are_those_of_others(pool: Pool, source: str) -> None:
    cases = [(text, KEYS[n % 3]) for n, text in enumerate(TEXTS)]
    events = [
        {"text": text, "key": key.hex() if n % 2 else base64.b64encode(key).decode(), "data": encrypted(text, key)}
        for n, (text, key) in enumerate(cases)
    ]
    found = await made(pool, source, *events)
    for (text, key), event, got in zip(cases, events, found, strict=True):
        raw = text.encode()
        for name in ("md5", "sha1", "sha256", "sha512"):
            assert got[name] == hashlib.new(name, raw).hexdigest()
        assert got["base64"] == base64.b64encode(hashlib.sha256(raw).digest()).decode()
        names = ("md5", "sha1", "sha256", "sha512")
        assert got["hmac"] == [hmac.new(event["key"].encode(), raw, name).hexdigest() for name in names]
        gcm, cbc = base64.b64decode(got["gcm"]), base64.b64decode(got["cbc"])
        assert AESGCM(key).decrypt(gcm[:12], gcm[12:], None) == raw
        aes, pad = Cipher(algorithms.AES(key), modes.CBC(cbc[:16])).decryptor(), blocks.PKCS7(128).unpadder()
        assert pad.update(aes.update(cbc[16:]) + aes.finalize()) + pad.finalize() == raw
        assert got["back"] == [text, text]


async def test_python_and_javascript_make_the_same(pool: Pool) -> None:
    events = [{"text": text, "key": KEYS[2].hex(), "data": encrypted(text, KEYS[2])} for text in TEXTS]
    assert await made(pool, JS, *events) == await made(pool, PY, *events)
    (known,) = await made(pool, JS, {**events[0], "text": "revenue"})
    assert known["cyrb53"] == 8309097637345594  # as its author publishes


async def test_what_was_changed_is_not_decrypted(pool: Pool) -> None:
    js = "import {decrypt} from 'turnout/encrypt'; export const transformEvent = e => ({back: decrypt(e.data, e.key)});"
    py = "import turnout.encrypt as x\ndef transformEvent(e, m):\n    return {'b': x.decrypt(e['data'], e['key'])}"
    good = base64.b64decode(encrypted("secret", KEYS[0])["gcm"])
    for source in (js, py):
        for data, key, said in (
            (good[:-1] + bytes([good[-1] ^ 1]), KEYS[0].hex(), "was changed, or the key is another"),
            (good, KEYS[1].hex(), "was changed, or the key is another"),
            (good[:20], KEYS[0].hex(), "too short"),
            (good, "short", "an AES key is 16, 24 or 32 bytes, in hex or base64"),
        ):
            (got,) = await made(pool, source, {"data": base64.b64encode(data).decode(), "key": key})
            assert said in got


RSA = """
import { JSEncrypt } from "@rs/encrypt/v1";
export function transformEvent(event) {
  const crypt = new JSEncrypt();
  crypt.setKey(getCredential('rsa'));
  return {sealed: crypt.encrypt(event.text), opened: event.data ? crypt.decrypt(event.data) : null};
}
"""


async def test_rsa_as_in_rudderstacks_templates(pool: Pool) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    private = [
        key.private_bytes(pem, form, none).decode()
        for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
    ]
    public = [
        key.public_key().public_bytes(pem, form).decode()
        for form in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1)
    ]
    texts = ["ada@example.com", "", "é" * 100, "x" * 300]
    sealed = [key.public_key().encrypt(text.encode()[:245], padding.PKCS1v15()) for text in texts]
    data = [base64.b64encode(one).decode() for one in sealed]
    events = [{"text": text, "data": one} for text, one in zip(texts, data, strict=True)]
    for credential in (*private, *public):
        got = await made(pool, RSA, *events, credentials={"rsa": credential})
        for text, one in zip(texts[:3], got, strict=False):
            assert key.decrypt(base64.b64decode(one["sealed"]), padding.PKCS1v15()).decode() == text
        assert got[3]["sealed"] is False  # longer than the key
        opened = [one["opened"] for one in got]
        assert opened == ([*texts[:3], "x" * 245] if credential in private else [False] * 4)
    assert "an RSA key is PEM" in (await made(pool, RSA, events[0], credentials={"rsa": "nonsense"}))[0]


# ---- the same calls in both languages, and what they give

MODULES = {
    "contact": ("turnout/contact", "turnout.contact"), "mask": ("turnout/mask", "turnout.mask"),
    "url": ("turnout/url", "turnout.url"), "agent": ("turnout/userAgent", "turnout.user_agent"),
}  # fmt: skip


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


async def both(pool: Pool, module: str, function: str, *calls: list[Any]) -> list[Any]:
    """What a function gives for each list of arguments; it must be the same in both languages."""
    js, py = MODULES[module]
    events = [{"calls": calls}]
    first = await made(
        pool, f"import {{{function} as f}} from '{js}';"
        " export const transformEvent = e => ({made: e.calls.map(c => f(...c) ?? null)});", *events,
    )  # fmt: skip
    second = await made(
        pool, f"from {py} import {snake(function)} as f\n"
        "def transformEvent(e, metadata):\n    return {'made': [f(*c) for c in e['calls']]}", *events,
    )  # fmt: skip
    assert first == second
    return list(first[0]["made"])


EMAILS = {
    " Ada.L@Example.COM ": "ada.l@example.com", "mailto:a@b.co": "a@b.co", "a+b@b.co.uk": "a+b@b.co.uk", "ada": None,
    "a@b": None, "a@@b.co": None, "a b@b.co": None, "@b.co": None, "a@.co": None, "x" * 250 + "@b.co": None, "": None,
}  # fmt: skip
PHONES = [
    (["+44 (0)20 7946 0018"], "+442079460018"), (["020 7946 0018", "GB"], "+442079460018"),
    (["0044 20 7946 0018", "US"], "+442079460018"), (["(415) 555-0123", "US"], "+14155550123"),
    (["1-415-555-0123", "us"], "+14155550123"), (["06 1234 5678", "IT"], "+390612345678"),
    (["030 123456", "49"], "+4930123456"), (["0612 345 678", "+31"], "+31612345678"),
    (["415.555.0123 ext. 4", 1], "+14155550123"), (["tel:+4930123456"], "+4930123456"), (["4155550123"], None),
    (["call me", "US"], None), (["123", "US"], None), (["+0123456789"], None), (["+1 415 555 0123 4567 8901"], None),
]  # fmt: skip


async def test_email_and_phone(pool: Pool) -> None:
    assert await both(pool, "contact", "normalizeEmail", *([text] for text in EMAILS)) == list(EMAILS.values())
    assert await both(pool, "contact", "normalizePhone", *(call for call, _ in PHONES)) == [made for _, made in PHONES]
    assert await both(pool, "contact", "emailDomain", ["a@B.co"], ["no"], [None]) == ["b.co", None, None]
    js = "import {normalizeEmail as n} from 'turnout/contact';"
    js += "export const transformEvent = e => ({m: n(e.a, {gmail: true})})"
    py = "from turnout.contact import normalize_email\n"
    py += "def transformEvent(e, m):\n    return {'m': normalize_email(e['a'], gmail=True)}"
    for source in (js, py):
        got = await made(pool, source, {"a": "A.d.a+x@Googlemail.com"}, {"a": "A.da+x@example.com"})
        assert [one["m"] for one in got] == ["ada@gmail.com", "a.da+x@example.com"]


async def test_masking(pool: Pool) -> None:
    assert await both(pool, "mask", "maskEmail", ["ada@example.com"], ["nobody"], [None], ["@x"]) == [
        "a**@example.com", "******", "", "**"]
    assert await both(pool, "mask", "maskPhone", ["+1 415 555-0123"], [123], ["x"]) == ["+* *** ***-*123", "123", "x"]
    assert await both(pool, "mask", "maskCard", ["4111 1111 1111 1111"]) == ["**** **** **** 1111"]
    assert await both(pool, "mask", "maskText", ["secret", 1, 2], ["é", 1, 0], [None]) == ["s***et", "*", ""]
    ips = {
        "203.0.113.7": "203.0.113.0", "2001:DB8:1:2::7": "2001:db8:1::", "2001:db8::": "2001:db8:0::",
        "::1": "0:0:0::", "no": "",
    }  # fmt: skip
    assert await both(pool, "mask", "maskIp", *([ip] for ip in ips)) == list(ips.values())
    value = {"Email": "a", "deep": [{"email": 1, "n": 2}], "x": None}
    assert await both(pool, "mask", "redact", [value, ["EMAIL"]], [value, "x", 0]) == [
        {"Email": "[redacted]", "deep": [{"email": "[redacted]", "n": 2}], "x": None}, {**value, "x": 0}]
    said = "write ada.l+1@mail.example.co, card 4111-1111-1111-1111, order 4111-1111-1111-1112, ssn 078-05-1120."
    assert await both(pool, "mask", "scrub", [{"a": [said, 7]}]) == [
        {"a": ["write [email], card [card], order 4111-1111-1111-1112, ssn [ssn].", 7]}]


async def test_urls(pool: Pool) -> None:
    url = "HTTPS://ada:pw@Shop.example:8443/a%20b?utm_Source=News+Letter&utm_campaign=%C3%A9&q=1&q=2&empty=&utm_term=#part"
    whole, short, file, *nothing = await both(
        pool, "url", "parseUrl", [url], ["http://[2001:db8::1]:80"], ["file:///tmp/x"], ["/path"], ["http://"], [None]
    )  # fmt: skip
    assert whole == {
        "protocol": "https", "username": "ada", "host": "shop.example:8443", "hostname": "shop.example", "port": 8443,
        "path": "/a%20b", "search": "?utm_Source=News+Letter&utm_campaign=%C3%A9&q=1&q=2&empty=&utm_term=",
        "query": {"utm_Source": "News Letter", "utm_campaign": "é", "q": "2", "empty": "", "utm_term": ""},
        "fragment": "part",
    }  # fmt: skip
    assert (short["hostname"], short["port"], short["path"]) == ("[2001:db8::1]", 80, "/")
    assert (file["protocol"], file["path"], nothing) == ("file", "/tmp/x", [None] * 3)
    assert await both(pool, "url", "utm", [url], ["a=1&utm_medium=x"], ["https://x.example/"], [None]) == [
        {"source": "News Letter", "campaign": "é"}, {"medium": "x"}, {}, {}]
    params = """
    import {URLSearchParams} from '@rs/urlParser/v1';
    export function transformEvent(event) {
      const p = new URLSearchParams(event.search), q = new URLSearchParams({a: 1, b: 'é &'});
      p.append('a', 3); p.set('b', '9'); p.delete('gone'); q.sort();
      return {a: p.get('a'), all: p.getAll('a'), none: p.get('z'), has: p.has('b'), text: p.toString(), size: p.size,
              pairs: [...p], keys: [...p.keys()], q: String(q), bad: new URLSearchParams('%zz=%41%').toString()};
    }"""
    assert (await made(pool, params, {"search": "?a=1&b=2&a=2&b=3&gone"}))[0] == {
        "a": "1", "all": ["1", "2", "3"], "none": None, "has": True, "text": "a=1&b=9&a=2&a=3", "size": 4,
        "pairs": [["a", "1"], ["b", "9"], ["a", "2"], ["a", "3"]], "keys": ["a", "b", "a", "a"],
        "q": "a=1&b=%C3%A9+%26", "bad": "%25zz=A%25",
    }  # fmt: skip


AGENTS: list[tuple[str, str, str, str, str]] = [
    # header; browser and major; engine; system and version; vendor, model, type | processor
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
     "Chrome 131", "Blink", "Windows 10", "|amd64"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 "
     "Edg/131.0.2903.51", "Edge 131", "Blink", "Windows 10", "|amd64"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 "
     "Safari/605.1.15", "Safari 17", "WebKit", "Mac OS 10.15.7", "Apple Macintosh|"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 "
     "Mobile/15E148 Safari/604.1", "Mobile Safari 18", "WebKit", "iOS 18.1.1", "Apple iPhone mobile|"),
    ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/126.0.6478.54 "
     "Mobile/15E148 Safari/604.1", "Chrome 126", "WebKit", "iOS 17.5", "Apple iPad tablet|"),
    ("Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007) AppleWebKit/537.36 (KHTML, like Gecko) "
     "SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
     "Samsung Internet 26", "Blink", "Android 14", "Samsung SM-S918B mobile|"),
    ("Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.39 Mobile "
     "Safari/537.36", "Chrome 131", "Blink", "Android 13", "Google Pixel 7 mobile|"),
    ("Mozilla/5.0 (Linux; Android 12; Redmi Note 11; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
     "Chrome/130.0.0.0 Mobile Safari/537.36", "Chrome WebView 130", "Blink", "Android 12",
     "Xiaomi Redmi Note 11 mobile|"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
     "Firefox 133", "Gecko", "Linux", "|amd64"),
    ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
     "Chrome 131", "Blink", "Android 10", "tablet|"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "IE 11", "Trident", "Windows 7", "|amd64"),
    ("Mozilla/5.0 (X11; CrOS aarch64 15917.71.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36",
     "Chrome 127", "Blink", "Chromium OS 15917.71.0", "|arm64"),
    ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36",
     "Chrome 94", "Blink", "webOS", "smarttv|"),
    ("Mozilla/5.0 (PlayStation 5/SmartTV) AppleWebKit/605.1.15 (KHTML, like Gecko)", "", "WebKit", "PlayStation 5",
     "Sony PlayStation 5 console|"),
    ("curl/8.5.0", "", "", "", "|"),
    ("", "", "", "", "|"),
]  # fmt: skip


async def test_user_agents(pool: Pool) -> None:
    found = await both(pool, "agent", "parseUserAgent", *([agent] for agent, *_ in AGENTS))
    for (agent, browser, engine, system, device), got in zip(AGENTS, found, strict=True):
        assert got["ua"] == agent
        assert " ".join(got["browser"].get(key, "") for key in ("name", "major")).strip() == browser
        assert got["engine"].get("name", "") == engine
        assert " ".join(got["os"].get(key, "") for key in ("name", "version")).strip() == system
        parts = " ".join(got["device"][key] for key in ("vendor", "model", "type") if key in got["device"])
        assert f"{parts}|{got['cpu'].get('architecture', '')}" == device
    bots = {
        "curl/8.5.0": True, "": True, AGENTS[0][0]: False, AGENTS[3][0]: False,
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://x)": True, "SiteSpider/2": True,
    }  # fmt: skip
    assert await both(pool, "agent", "isBot", *([agent] for agent in bots)) == list(bots.values())
    await both(pool, "agent", "parseUserAgent", *([_noise()] for _ in range(300)))


def _noise() -> str:
    """Parts of headers in any order: only that both languages say the same is asked of it."""
    words = " ".join(agent for agent, *_ in AGENTS).split(" ")
    return " ".join(DICE.choice(words) for _ in range(DICE.randrange(1, 12)))


async def test_rudderstacks_user_agent_and_device_templates(pool: Pool) -> None:
    source = """
    import { UAParser } from "@rs/userAgentParser/v1";
    import { getLocalizedDeviceModel } from "@rs/localizeAppleDeviceModel/v1";
    export function transformEvent(event, metadata) {
      const parser = new UAParser();
      event.parsed = parser.setUA(event.context.userAgent).getResult();
      event.name = getLocalizedDeviceModel(event);
      return event;
    }"""
    models = {
        "iPhone13,1": "iPhone 12 mini", "iPhone 16,2": "iPhone 15 Pro Max",
        "iPad13,11": "iPad Pro (12.9-inch) (5th generation)", "iPhone99,1": None, "": None,
    }  # fmt: skip
    events = [{"context": {"userAgent": AGENTS[0][0], "device": {"model": model}}} for model in models]
    got = await made(pool, source, *events)
    assert [one.get("name") for one in got] == list(models.values())
    assert got[0]["parsed"]["browser"] == {"name": "Chrome", "version": "131.0.0.0", "major": "131"}


# ---- how they are found


async def test_a_users_library_comes_before_ours(pool: Pool) -> None:
    mine = (Library("turnout/hash", "export const sha256 = () => 'mine';", "h.js", "javascript"),)
    source = "import {sha256} from 'turnout/hash'; export const transformEvent = e => ({made: sha256('x')});"
    assert await made(pool, source, {}, libraries=mine) == [{"made": "mine"}]


@pytest.mark.parametrize("language", ["javascript", "python"])
async def test_every_library_loads_under_each_of_its_names(pool: Pool, language: str) -> None:
    form: dict[str, Callable[[str], str]] = {
        "javascript": lambda name: f"import all, * as x from '{name}'; export const transformEvent = e =>"
        " ({names: Object.keys(x).filter(key => key !== 'default'), all: Object.keys(all)});",
        "python": lambda name: f"import {name}\ndef transformEvent(e, m):\n    return {{'names': [repr({name})]}}",
    }
    for name in NAMES[language]:
        (got,) = await made(pool, form[language](name), {})
        assert got["names"]
        assert set(got.get("all", [])) <= set(got["names"])


async def test_libraries_of_python_reach_nothing(pool: Pool) -> None:
    library = "def call(name):\n    return name()\ndef get():\n    return fetch('https://x.example/')\n"
    source = "import asks\ndef transformEvent(e, m):\n    return {'key': asks.call(lambda: getCredential('k')), **e}"
    options = {"libraries": (Library("asks", library, "asks.py"),), "credentials": {"k": "v"}}
    assert (await made(pool, source, {}, **options))[0]["key"] == "v"  # what the script hands it, it may call
    (said,) = await made(pool, source.replace("**e", "'got': asks.get()"), {}, **options)
    assert said == "asks.py:4: NameError: name 'fetch' is not defined"
