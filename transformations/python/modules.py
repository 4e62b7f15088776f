"""What scripts may import: immutable views of parts of the standard library.

A view holds named members and nothing else, never the module: a module's own attributes lead to
`sys`, `os` and the interpreter. C functions that import something lazily would do so through the
script's `__import__`, so those are wrapped in plain functions, whose built-ins are the host's.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import collections
import datetime
import decimal
import fractions
import functools
import hashlib
import heapq
import hmac
import html
import ipaddress
import itertools
import json
import math
import operator
import re
import statistics
import string
import time
import typing
import unicodedata
import urllib.parse
import uuid
import zlib
import zoneinfo
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from transformations.python.guards import View, override, permit
from transformations.python.moment import MOMENT
from transformations.python.trusting import of_text

__all__ = ["MODULES", "warm"]


def _take(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()}


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same from a Python frame of ours, and without the function's own attributes."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    call.__name__ = function.__name__
    return call


# ---- numbers and text

_MATH = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")}
_FLAGS = "A ASCII I IGNORECASE M MULTILINE S DOTALL U UNICODE X VERBOSE NOFLAG"
_RE = {
    **_take(re, "compile search match fullmatch sub subn split findall finditer escape error Pattern Match"),
    **{name: int(getattr(re, name)) for name in _FLAGS.split()},
    "PatternError": re.error,  # its name since Python 3.13
}
permit(re.Pattern, re.Match)

_DECIMAL = _take(
    decimal,
    "Decimal ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN ROUND_HALF_UP ROUND_UP "
    "DecimalException InvalidOperation DivisionByZero Inexact Overflow",
)
permit(decimal.Decimal, fractions.Fraction)

_STRING = _take(
    string,
    "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits punctuation printable whitespace"
    " capwords",
)


# ---- json

_KEYS = frozenset({"indent", "sort_keys", "ensure_ascii", "separators", "default", "allow_nan", "skipkeys"})
_HOOKS = frozenset({"object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant"})


def _dumps(obj: Any, **options: Any) -> str:
    if not _KEYS.issuperset(options):
        raise TypeError(f"json.dumps() here takes {', '.join(sorted(_KEYS))}")
    return json.dumps(obj, **options)


def _loads(s: str | bytes, **options: Any) -> Any:
    if not _HOOKS.issuperset(options):
        raise TypeError(f"json.loads() here takes {', '.join(sorted(_HOOKS))}")
    return json.loads(s, **options)


_JSON = {"dumps": _dumps, "loads": _loads, "JSONDecodeError": json.JSONDecodeError}
permit(json.JSONDecodeError)


# ---- dates and times, of the event

permit(
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone, time.struct_time
)
permit(zoneinfo.ZoneInfo, names=("key", "utcoffset", "dst", "tzname", "fromutc"))
_DATETIME = _take(datetime, "date datetime time timedelta timezone tzinfo MINYEAR MAXYEAR UTC")


def _strptime(text: str, pattern: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, pattern)  # noqa: DTZ007  # the script decides


def _now(tz: Any = None) -> datetime.datetime:
    return MOMENT.now(tz)


def _utcnow() -> datetime.datetime:
    return MOMENT.now()


override(datetime.datetime, "now", _now)
override(datetime.datetime, "utcnow", _utcnow)
override(datetime.datetime, "today", _utcnow)
override(datetime.datetime, "strptime", _strptime)
override(datetime.date, "today", lambda: MOMENT.now().date())


def _gmtime(secs: float | None = None, /) -> time.struct_time:
    return time.gmtime(MOMENT.time() if secs is None else secs)


def _strftime(pattern: str, moment: Any = None, /) -> str:
    return time.strftime(pattern, _gmtime() if moment is None else moment)


def _time() -> float:
    return MOMENT.time()


_TIME = {
    "time": _time, "time_ns": lambda: int(MOMENT.time() * 1e9), "gmtime": _gmtime,
    "localtime": _gmtime, "strftime": _strftime, "strptime": _wrapped(time.strptime), "mktime": time.mktime,
    "struct_time": time.struct_time, "timezone": 0, "tzname": ("UTC", "UTC"),
}

_ZONES: dict[str, bytes] = {}


def _zone(key: str) -> zoneinfo.ZoneInfo:
    """A zone from data read before the worker was locked."""
    data = _ZONES.get(key) if type(key) is str else None
    if data is None:
        raise _ZoneNotFound(f"No time zone found with key {key}")
    found = _zone_cache.get(key)
    if found is None:
        found = _zone_cache[key] = zoneinfo.ZoneInfo.from_file(BytesIO(data), key)
    return found


_zone_cache: dict[str, zoneinfo.ZoneInfo] = {}
_ZoneNotFound = zoneinfo.ZoneInfoNotFoundError


def _zone_files() -> Iterator[tuple[str, Path]]:
    keys = zoneinfo.available_timezones()
    for folder in map(Path, zoneinfo.TZPATH):
        for key in keys:
            if (path := folder / key).is_file():
                yield key, path


# ---- random and uuid, seeded by the event

_RANDOM_NAMES = (
    "random randint randrange uniform choice choices sample shuffle getrandbits gauss normalvariate triangular "
    "betavariate expovariate randbytes"
)


def _seeded(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(MOMENT.random(), name)(*args, **kwargs)

    call.__name__ = name
    return call


def _uuid4() -> uuid.UUID:
    return uuid.UUID(int=MOMENT.random().getrandbits(128), version=4)


permit(uuid.UUID, names=("bytes", "bytes_le", "fields", "hex", "int", "urn", "variant", "version"))
_UUID = {
    **_take(uuid, "UUID uuid3 uuid5 NAMESPACE_DNS NAMESPACE_URL NAMESPACE_OID NAMESPACE_X500"), "uuid4": _uuid4,
}


# ---- hashing and encoding

_HASHES = "md5 sha1 sha224 sha256 sha384 sha512 blake2b blake2s sha3_224 sha3_256 sha3_384 sha3_512"
_HASH_ATTRIBUTES = ("update", "digest", "hexdigest", "copy", "name", "digest_size", "block_size")
permit(*{type(getattr(hashlib, name)()) for name in _HASHES.split()}, hmac.HMAC, names=_HASH_ATTRIBUTES)


def _new_hash(name: str, data: bytes = b"", **_: bool) -> Any:
    # An exact str: what a script's object says of itself changes between two looks.
    if type(name) is not str or name.lower() not in _HASHES.split():
        raise ValueError(f"unsupported hash type {name}")
    return getattr(hashlib, name.lower())(data)


_HASHLIB = {**_take(hashlib, _HASHES), "new": _new_hash, "pbkdf2_hmac": _wrapped(hashlib.pbkdf2_hmac)}
_HMAC = {"new": _wrapped(hmac.new), "digest": _wrapped(hmac.digest), "compare_digest": hmac.compare_digest}
_BASE64 = _take(
    base64,
    "b64encode b64decode urlsafe_b64encode urlsafe_b64decode standard_b64encode standard_b64decode b32encode "
    "b32decode b16encode b16decode b85encode b85decode",
)
_PARSE = _take(
    urllib.parse,
    "urlparse urlsplit urlunparse urlunsplit urljoin urldefrag parse_qs parse_qsl urlencode quote quote_plus "
    "quote_from_bytes unquote unquote_plus unquote_to_bytes",
)
permit(
    urllib.parse.ParseResult, urllib.parse.SplitResult, urllib.parse.DefragResult, urllib.parse.ParseResultBytes,
    urllib.parse.SplitResultBytes,
)


# ---- containers and functions

permit(collections.OrderedDict, collections.Counter, collections.defaultdict, collections.deque, collections.ChainMap)
permit(itertools.chain, names=("from_iterable",))


def _wraps(_: Any, *__: Any) -> Callable[[Any], Any]:
    """The real one copies attributes named by its caller between any two objects."""
    return lambda function: function


def _copy(value: Any) -> Any:
    return value.copy() if type(value) in _COPIED else value


def _deepcopy(value: Any) -> Any:
    """Containers are copied, everything else in an event cannot change."""
    kind = type(value)
    if kind is dict:
        return {key: _deepcopy(item) for key, item in value.items()}
    if kind is list:
        return [_deepcopy(item) for item in value]
    if kind is tuple:
        return tuple([_deepcopy(item) for item in value])
    return _copy(value)


_COPIED = frozenset((
    dict, list, set, bytearray, collections.OrderedDict, collections.Counter, collections.defaultdict,
    collections.deque,
))
_OPERATOR = _take(
    operator,
    "add sub mul truediv floordiv mod neg pos abs and_ or_ xor not_ eq ne lt le gt ge contains countOf indexOf "
    "getitem itemgetter concat truth is_ is_not",
)
permit(ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
permit(ipaddress.IPv4Interface, ipaddress.IPv6Interface)


# ---- typing, which says nothing at run time


class _Hint:
    """Stands for every name of `typing`; may be subscripted, joined and called."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> _Hint:
        return self

    def __or__(self, _: Any) -> _Hint:
        return self

    __ror__ = __or__

    def __call__(self, *_: Any, **__: Any) -> _Hint:
        return self


_TYPING: dict[str, Any] = dict.fromkeys((name for name in typing.__all__ if name[0].isupper()), _Hint())
_TYPING |= {"cast": lambda _, value: value, "TYPE_CHECKING": False}
_ABC = dict.fromkeys(collections.abc.__all__, _TYPING["Any"])

_HTML = {"escape": html.escape, "unescape": html.unescape}

_TEXTWRAP = {name: of_text(name) for name in ("dedent", "fill", "indent", "shorten", "wrap")}
_ITERTOOLS = _take(
    itertools,
    "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile filterfalse groupby "
    "islice pairwise permutations product repeat starmap takewhile tee zip_longest",
)
_FUNCTOOLS = {**_take(functools, "partial reduce cmp_to_key"), "wraps": _wraps}
_FUNCTOOLS |= {"lru_cache": _wrapped(functools.lru_cache), "cache": _wrapped(functools.cache)}
_COLLECTIONS = _take(collections, "ChainMap Counter OrderedDict defaultdict deque")
_STATISTICS = {
    name: _wrapped(getattr(statistics, name))
    for name in (
        "mean", "fmean", "median", "median_low", "median_high", "mode", "multimode", "stdev", "pstdev",
        "variance", "pvariance",
    )
}
_IPADDRESS = {
    name: getattr(ipaddress, name)
    for name in ["ip_address", "ip_network", "ip_interface", "IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"]
}

MODULES: dict[str, View] = {
    name: View(name, members)
    for name, members in {
        "base64": _BASE64,
        "binascii": _take(binascii, "hexlify unhexlify b2a_base64 a2b_base64 crc32 Error"),
        "bisect": _take(bisect, "bisect bisect_left bisect_right insort insort_left insort_right"),
        "collections.abc": _ABC,
        "copy": {"copy": _copy, "deepcopy": _deepcopy},
        "datetime": _DATETIME,
        "decimal": _DECIMAL,
        "fractions": {"Fraction": fractions.Fraction},
        "functools": _FUNCTOOLS,
        "hashlib": _HASHLIB,
        "heapq": {
            n: _wrapped(getattr(heapq, n))
            for n in ("heapify", "heappop", "heappush", "heappushpop", "nlargest", "nsmallest")
        },
        "hmac": _HMAC,
        "html": _HTML,
        "ipaddress": _IPADDRESS,
        "itertools": _ITERTOOLS,
        "json": _JSON,
        "math": _MATH,
        "operator": _OPERATOR,
        "random": {name: _seeded(name) for name in _RANDOM_NAMES.split()},
        "re": _RE,
        "statistics": _STATISTICS,
        "string": _STRING,
        "textwrap": _TEXTWRAP,
        "time": _TIME,
        "typing": _TYPING,
        "unicodedata": _take(
            unicodedata, "normalize category name lookup combining bidirectional decimal digit numeric"
        ),
        "urllib.parse": _PARSE,
        "uuid": _UUID,
        "zlib": _take(zlib, "crc32 adler32"),
        "zoneinfo": {"ZoneInfo": _zone, "ZoneInfoNotFoundError": _ZoneNotFound},
    }.items()
}
MODULES["urllib"] = View("urllib", {"parse": MODULES["urllib.parse"]})
MODULES["collections"] = View("collections", {**_COLLECTIONS, "abc": MODULES["collections.abc"]})
"""Import name → view, the whole of what a script can import beside its libraries."""


def warm() -> None:
    """Do what would open files or import later, while that is still allowed; once per zygote."""
    for key, path in _zone_files():
        _ZONES.setdefault(key, path.read_bytes())
    time.strptime("2020", "%Y")
    _strptime("2020-01-01", "%Y-%m-%d")
    collections.Counter("aab").most_common(1)
    re.sub(r"(a)", r"\1\g<1>", "a", flags=re.I | re.X)
    for codec in (
        "ascii", "latin-1", "utf-8", "utf-16", "utf-16-le", "utf-32", "cp1252", "idna", "punycode",
        "unicode_escape", "utf-8-sig",
    ):  # fmt: skip
        "x".encode(codec).decode(codec)
    for name in _HASHES.split():
        hmac.new(b"k", b"x" * 4096, name).hexdigest()
    hashlib.pbkdf2_hmac("sha256", b"x", b"salt", 1)
    uuid.uuid5(uuid.NAMESPACE_DNS, "x")
    statistics.stdev([1, 2, 4])
    divmod(1 << 100_000, (1 << 20_000) + 1)
    str(fractions.Fraction(1, 3) + decimal.Decimal(1).__int__())
    ipaddress.ip_network("2001:db8::/32")
    "\N{BULLET}".encode("ascii", "namereplace")
    json.dumps({"a": [1.5, None, "é"]}, indent=1, sort_keys=True)
