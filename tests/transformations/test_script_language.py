"""What scripts may say, import and share; and how a refusal is worded."""

from __future__ import annotations

import sys

import pytest

from tests.transformations.conftest import Run
from transformations import Pool
from transformations.base import Failed, Library, Script
from turnout.errors import ScriptError

pytestmark = pytest.mark.asyncio(loop_scope="module")


def value(expression: str, before: str = "") -> str:
    return f"{before}\ndef transformEvent(event, metadata):\n    return {{'v': {expression}}}\n"


@pytest.mark.parametrize(("expression", "before", "expected"), [
    ("[a * b for a, b in {'x': 2}.items() for _ in range(2)]", "", ["xx", "xx"]),
    ("'{0[k]:>4}|{x!r}'.format({'k': 1}, x='y')", "", "   1|'y'"),
    ("'{[k]}{.real:>{}}{}{{}}'.format({'k': 1}, 2, 3, 4)", "", "1  24{}"),
    ("'{n}{[0]}{}'.format([1], 2, n=3)", "", "312"),
    ("say([1]) + say([2])", "say = '{[0]}'.format", "12"),
    ("((1 << 100_000) // ((1 << 20_000) + 1)) >> 79_999", "", 1),
    ("'%s-%05.1f' % ('a', 3.14159)", "", "a-003.1"),
    ("f'{event[\"n\"]:03d}{event!r:.1}'", "", "007{"),
    ("C(2).double", "class C:\n    def __init__(self, x):\n        self._x = x\n    @property\n    def double(self):\n"
     "        return self._x * 2", 4),
    ("D().go()", "class B:\n    def go(self):\n        return 'b'\nclass D(B):\n    def go(self):\n"
     "        return super().go() + 'd'", "bd"),
    ("str(E('m', 3)) + str(E('m', 3).code)", "class E(Exception):\n    def __init__(self, m, code):\n"
     "        super().__init__(m)\n        self.code = code", "m3"),
    ("len(L([1, 2])) + sum(L([3]))", "class L:\n    def __init__(self, v):\n        self.v = v\n"
     "    def __len__(self):\n        return len(self.v)\n    def __iter__(self):\n        return iter(self.v)", 5),
    ("sorted(k for k in [P(2), P(1)])[0].n", "class P:\n    def __init__(self, n):\n        self.n = n\n"
     "    def __lt__(self, other):\n        return self.n < other.n", 1),
    ("A.total", "class A:\n    total = 1\nA.total += 4", 5),
    ("_f(__g(1))", "def _f(x): return x + 1\ndef __g(x): return x * 10", 11),
    ("k(3)", "k = lambda _n, __m=2: _n * __m", 6),
    ("kind({'type': 'track', 'event': 'x', 'n': 1})",
     "def kind(e):\n    match e:\n        case {'type': 'page'} | {'type': 'screen'}: return 0\n"
     "        case {'type': 'track', **rest}: return sorted(rest)\n        case _: return None", ["event", "n"]),
    ("kind([1, 2, 3])",
     "def kind(e):\n    match e:\n        case []: return 0\n        case [first, *rest]: return rest", [2, 3]),
    ("counter()", "def counter():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n"
     "        return n\n    up()\n    return up()", 2),
    ("g()", "from __future__ import annotations\nfrom typing import Optional, Dict\nHint = Dict[str, Optional[int]]\n"
     "def g(x: Hint = None) -> Hint:\n    y: int = 3\n    z: str\n    return y", 3),
    ("f(1)", "async def _inner(x):\n    return x + 1\nasync def f(x):\n    return await _inner(x)", 2),
    ("safe('a')", "def safe(x):\n    try:\n        return int(x)\n    except:\n        return -1", -1),
    ("type(1) is int and type([]) == list and isinstance('a', (str, bytes)) and type(ValueError()).__name__", "",
     "ValueError"),
    ("[getattr('ab', 'upper')(), getattr(1, 'nope', 5), hasattr([], 'append'), hasattr([], 'x')]", "",
     ["AB", 5, True, False]),
    ("(y := event['n']) + y", "", 14),
    ("__name__", "", "case"),
    ("h.cache[1]", "class H:\n    def __init__(self):\n        self.cache = {}\nh = H()\nh.cache[1] = 'c'", "c"),
])
async def test_the_language(run: Run, expression: str, before: str, expected: object) -> None:
    assert await run(value(expression, before), {"n": 7}) == [[{"v": expected}]]


@pytest.mark.parametrize(("statement", "expression", "expected"), [
    ("import re", "re.sub(r'(a)(?P<x>b)', r'\\2\\g<x>', 'ab', flags=re.I | re.M)", "bb"),
    ("import re", "re.PatternError is re.error", True),
    ("import json", "json.loads(json.dumps({'b': [1, None]}, sort_keys=True))", {"b": [1, None]}),
    ("from datetime import datetime, timedelta", "(datetime(2026, 1, 31) + timedelta(days=1)).strftime('%d.%m.%Y')",
     "01.02.2026"),
    ("import datetime", "datetime.datetime.strptime('2026-02-03', '%Y-%m-%d').date().isoformat()", "2026-02-03"),
    ("import time", "time.strftime('%Y-%m-%d', time.gmtime(0))", "1970-01-01"),
    ("import hashlib", "hashlib.sha256(b'a').hexdigest()[:8]", "ca978112"),
    ("import hashlib", "hashlib.new('md5', b'a').hexdigest()[:8]", "0cc175b9"),
    ("import hmac, hashlib", "hmac.new(b'k', b'm', hashlib.sha256).hexdigest()[:8]", "b60090e3"),
    ("import base64", "base64.b64decode(base64.b64encode(b'hi')).decode()", "hi"),
    ("from urllib.parse import urlparse, parse_qs", "parse_qs(urlparse('http://h/p?a=1&a=2').query)",
     {"a": ["1", "2"]}),
    ("import urllib.parse", "urllib.parse.quote('a b')", "a%20b"),
    ("import uuid", "str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a.b'))", "0e7af403-ee0d-594b-ab31-08b1c687f2fa"),
    ("from decimal import Decimal, ROUND_HALF_UP", "str(Decimal('2.345').quantize(Decimal('.01'), ROUND_HALF_UP))",
     "2.35"),
    ("from collections import Counter, defaultdict", "Counter('aab').most_common(1)[0][0]", "a"),
    ("from collections import OrderedDict", "OrderedDict(a=1)", {"a": 1}),
    ("import itertools, functools",
     "functools.reduce(lambda a, b: a + b, itertools.chain.from_iterable([[1], [2]]))", 3),
    ("from zoneinfo import ZoneInfo\nfrom datetime import datetime",
     "datetime(2026, 7, 1, tzinfo=ZoneInfo('Europe/Berlin')).isoformat()", "2026-07-01T00:00:00+02:00"),
    ("import statistics, math", "[statistics.mean([1, 2]), math.floor(2.5)]", [1.5, 2]),
    ("import unicodedata, html, textwrap, string",
     "unicodedata.normalize('NFKD', 'é')[0] + html.escape('<') + textwrap.shorten('a b c d', 5) + string.digits[0]",
     "e&lt;[...]0"),
    ("import copy", "copy.deepcopy({'a': [1]})", {"a": [1]}),
    ("import ipaddress", "ipaddress.ip_address('192.0.2.1').is_private", True),
    ("import operator", "sorted([{'a': 2}, {'a': 1}], key=operator.itemgetter('a'))", [{"a": 1}, {"a": 2}]),
    ("import random", "sorted(random.sample([1, 2, 3], 3)) + [random.choice([4])]", [1, 2, 3, 4]),
])
async def test_the_standard_library_it_has(run: Run, statement: str, expression: str, expected: object) -> None:
    assert await run(value(expression, statement), {"messageId": "m"}) == [[{"v": expected}]]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
@pytest.mark.parametrize(("expression", "expected"), [
    ("str(datetime.date.strptime('3.2.2026', '%d.%m.%Y'))", "2026-02-03"),
    ("str(datetime.time.strptime('7:05', '%H:%M'))", "07:05:00"),
    ("str(fractions.Fraction.from_number(0.5)) + str(decimal.Decimal.from_number(2))", "1/22"),
    ("first({}, 'a')", 7),
])
async def test_what_newer_versions_add(run: Run, expression: str, expected: object) -> None:
    """The interpreter's own imports never go to a library, whatever that is called."""
    before = """import datetime, decimal, fractions
def first(found, key):
    try:
        return found[key]
    except KeyError, TypeError:
        return 7
"""
    libraries = {"_strptime": "def _strptime_datetime_date(*args):\n    return 1\n"}
    assert await run(value(expression, before), {}, libraries=libraries) == [[{"v": expected}]]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
@pytest.mark.parametrize("source", ["x = 1\ndef f[T](x): pass\n", "x = 1\nclass C[T]: pass\n",
                                    "x = 1\ndef f[*T, **P](x): pass\n"])
async def test_type_parameters_are_refused_by_name(pool: Pool, source: str) -> None:
    with pytest.raises(ScriptError, match=r"^case\.py:2: Type parameters are not allowed\.$"):
        await pool.check(Script("case", source, file="case.py"))


@pytest.mark.parametrize(("name", "hint"), [
    ("monye", " (did you mean money?)"), ("base46", " (did you mean base64?)"),
    ("urllib.prase", " (did you mean urllib.parse?)"), ("turnout.hahs", " (did you mean turnout.hash?)"),
    ("my_rates", " (did you mean myRates?)"), ("Money", " (did you mean money?)"), ("requests", ""),
])
async def test_a_misspelt_import_says_what_may_be_meant(pool: Pool, name: str, hint: str) -> None:
    code = "def mark(event):\n    return event\n"
    libraries = (Library("money", code, "money.py"), Library("my-rates", code, "rates.py"))
    for line in (f"import {name}", f"from {name} import mark"):
        with pytest.raises(ScriptError) as raised:
            await pool.check(Script("case", f"x = 1\n{line}\n", file="case.py", libraries=libraries))
        assert str(raised.value) == f"case.py:2: ImportError: import of '{name}' is not allowed here{hint}"


@pytest.mark.parametrize(("source", "said"), [
    ("def transformEvent(event, metadata)\n    pass", "case.py:1: SyntaxError: expected ':'"),
    ("x = 1\nimport os\n", "case.py:2: ImportError: import of 'os' is not allowed here"),
    ("from re import nope\n", "case.py:1: ImportError: cannot import 'nope' from 're'"),
    ("from . import x\n", "case.py:1: Relative imports are not allowed."),
    ("x = 1\ny = x.__class__\n", 'case.py:2: "__class__" is an invalid attribute name because it starts with "_".'),
    ("match 1:\n    case int(): pass\n", "case.py:2: MatchClass statements are not allowed."),
    ("with x as y:\n    pass\n", "case.py:1: With statements are not allowed."),
    ("x = (i async for i in y)\n", "case.py:1: Asynchronous comprehensions are not allowed."),
    ("y = _private\n", "case.py:1: NameError: name '_private' is not defined"),
    ("'{[0]}{0}'.format([1])\n", "case.py:1: ValueError: cannot switch between manual and automatic field numbering"),
    ("1 / 0\n", "case.py:1: ZeroDivisionError: division by zero"),
    ("x = '\x00'\n", "case.py:1: SyntaxError: source code string cannot contain null bytes"),
    ("x = " + "-" * 5000 + "1\n", "case.py:1: the source is nested too deeply"),
    ("x = " + "(" * 300 + ")" * 300, "case.py:1: SyntaxError: too many nested parentheses"),
    ("pass\n", "case.py:1: TypeError: Expected one of transformEvent,transformBatch. Found []"),
    ("while True: pass\n", "case.py:1: took longer than 0.3 s to load"),
    ("x = 'a' * 10 ** 10\n", "case.py:1: needs more memory than allowed to load"),
])
async def test_check_says_file_line_and_what_is_wrong(pool: Pool, source: str, said: str) -> None:
    with pytest.raises(ScriptError) as caught:
        await pool.check(Script("case", source, file="case.py", timeout=0.3))
    if "nested" not in said and "null bytes" not in said:
        assert str(caught.value) == said
    assert str(caught.value).startswith("case.py:1:") or caught.value.line == 2


async def test_check_passes_a_good_script_and_names_a_bad_library(pool: Pool) -> None:
    good = "from tools import f\ndef transformEvent(event, metadata):\n    return f(event)\n"
    library = Library("tools", "def f(e):\n    return e\n", "lib/tools.py")
    await pool.check(Script("s", good, libraries=(library,)))
    with pytest.raises(ScriptError, match=r"^lib/tools.py:2: "):
        await pool.check(Script("s", good, libraries=(Library("tools", "\nimport socket\n", "lib/tools.py"),)))


async def test_libraries_by_name_by_camel_case_in_scope_and_in_each_other(run: Run) -> None:
    libraries = {
        "My helper lib": "from base_rules import RATE\ndef twice(x):\n    return x * 2 * RATE\n",
        "base_rules": "RATE = 10\n_hidden = 1\n",
    }
    source = value("[myHelperLib.twice(1), base_rules.RATE, baseRules.RATE, twice(2)]", "from myHelperLib import twice")
    assert await run(source, {}, libraries=libraries) == [[{"v": [20, 10, 10, 40]}]]


async def test_libraries_in_a_circle_are_named(run: Run) -> None:
    (failed,) = await run(value("1", "import a"), {}, libraries={"a": "import b\n", "b": "import a\n"})
    assert failed.reason.endswith("libraries import each other in a circle: a → b → a")


async def test_an_error_in_a_library_names_the_library(run: Run) -> None:
    source = value("rules.check(event)", "import rules")
    (failed,) = await run(source, {}, libraries={"rules": "\ndef check(e):\n    raise ValueError('bad')\n"})
    assert failed == Failed("lib/rules.py:3: ValueError: bad")


async def test_a_library_starts_afresh_with_every_batch(run: Run) -> None:
    source = value("len(seen.SEEN)", "import seen\nseen.SEEN.append(1)")
    for _ in range(2):
        assert await run(source, {}, libraries={"seen": "SEEN = []\n"}) == [[{"v": 1}]]
