"""YAML as a tree: what is refused, where, and that no text at all breaks the reader."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataplane.config import InvalidConfig, check, parse
from dataplane.config.diagnostic import Report
from dataplane.config.document import MAX_DEPTH, MAX_NODES, compose, plain

SYNTAX = {
    "server:\n\tport: 1\n": "2:1: a tab cannot be used here; indent with spaces",
    "server:\n  host: a\n\tport: 1\n": "3:1: a tab cannot be used here; indent with spaces",
    "server:\n  host: 'a\n": "2:9: this quote is never closed",
    "server:\n  host: \"a\n  port: 1\n": "2:9: this quote is never closed",
    "server:\n  host: @home\n": "2:9: text cannot begin with @; quote it",
    "server:\n  host: `home\n": "2:9: text cannot begin with `; quote it",
    "data: a: b\n": "1:8: a ':' is not expected here; quote text that contains ': ', or mend the indentation",
    "server:\n  host: a\n port: 1\n":
        "3:2: this does not fit the lines above; mend the indentation or quote the text",
    "server: {port: 1\nadmin: {}\n": "2:6: a ',' or '}' is missing before this",
    "discard: [a, b\nserver: {}\n": "2:7: a ',' or ']' is missing before this",
    "admin: {token: ${TOKEN}}\n": "1:17: a ',' or '}' is missing before this; quote ${…} inside { } and [ ]",
    "data: it's\n---\ndata: x\n": "2:1: a config is one document; remove what follows this '---'",
    "": "1:1: the file is empty; `turnout init` writes one to start from",
    "# nothing\n": "1:1: the file is empty; `turnout init` writes one to start from",
    "---\n": "1:1: the file is empty; `turnout init` writes one to start from",
    "- a\n": "1:1: a config is a mapping of sections: `sources:`, `destinations:` …",
    "just text\n": "1:1: a config is a mapping of sections: `sources:`, `destinations:` …",
    "server:\n  host: a\0b\n":
        "2:10: the character U+0000 is not allowed; write it as an escape in double quotes",
    "server: {host: *nobody}\n": "1:16: server.host: there is no anchor &nobody above this",
    "server: &s {host: *s}\n": "1:19: server.host: *s contains itself",
    "server: {? [a] : 1}\n": "1:12: server: a key must be a word or quoted text",
    "server: {: 1}\n": "1:10: a key or a value is missing before this",
    "server:\n  ?\n  : 1\n": "2:4: server: a key is missing before this ':'",
    "data: !!str 5\n": "1:7: data: tags such as !!str are not used here; quote what is text",
    "data: !!python/object/apply:os.system [id]\n":
        "1:7: data: tags such as !!str are not used here; quote what is text",
    "data: .inf\n": "1:7: data: not a number that can be used here; quote it if it is text",
    "data: 1.0e+999\n": "1:7: data: the number is too large; quote it if it is text",
    "data: 1e3\n": "1:7: data: a number with an exponent is read differently by different YAML versions; "
                   "write it out, or as 1.0e+3; quote it if it is text",
    f"data: {'1' * 5000}\n": "1:7: data: the number is too long; quote it if it is text",
    "server: {<<: 5}\n": "1:10: server.\"<<\": only mappings can be merged: `<<: *anchor`",
    "egress: {\"${A}\": 1}\n": "1:10: egress.\"${A}\": ${…} is read in values, not in keys",
}


def said(text: str) -> list[str]:
    try:
        parse(text, "c", {})
    except InvalidConfig as error:
        return [str(d).removeprefix("c:") for d in error.diagnostics]
    return []


@pytest.mark.parametrize("text", SYNTAX)
def test_what_yaml_cannot_be_is_told_in_words(text: str) -> None:
    assert SYNTAX[text] in said(text)


@pytest.mark.parametrize("text", SYNTAX)
def test_yamls_own_parser_is_understood_like_the_fast_one(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "CSafeLoader", yaml.SafeLoader)
    message = SYNTAX[text].partition(": ")[2]
    assert any(message in line for line in said(text))


def test_columns_count_characters() -> None:
    assert said('server: {host: "häuser→🚉", prt: 1}\n') == [
        "1:28: server.prt: unknown key (did you mean port?)"
    ]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse("\ufeffserver: {port: 1}\n", "c", {}).server.port == 1


def test_anchors_and_merge_keys_keep_their_places() -> None:
    text = (
        "destinations:\n  a:\n    type: file\n    settings: &s {path: x}\n"
        "    delivery: &d {batch: 5, rate: 2}\n"
        "  b:\n    type: file\n    settings: *s\n    delivery: {<<: *d, rate: 3}\n"
        "  c:\n    type: file\n    settings: *s\n    delivery:\n      <<: [{order: none}, *d]\n"
    )
    made = parse(text, "c", {}).destinations
    assert (made["b"].settings, made["b"].delivery.batch, made["b"].delivery.rate) == ({"path": "x"}, 5, 3.0)
    assert (made["c"].delivery.order, made["c"].delivery.rate) == ("none", 2.0)
    assert said(text.replace("batch: 5", "batch: 0")) == [
        "5:26: destinations.a.delivery.batch: must be at least 1",
        "5:26: destinations.b.delivery.batch: must be at least 1",
        "5:26: destinations.c.delivery.batch: must be at least 1",
    ]


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(40)]
    started = time.process_time()
    assert f"more than {MAX_NODES} values, aliases counted each time" in said("\n".join(lines))[0]
    assert time.process_time() - started < 5  # unbounded, it would never end


def test_depth_is_bounded_also_through_aliases() -> None:
    deep = "[" * 100_000
    chain = ["a0: &a0 [[[[[[[[[[x]]]]]]]]]]"]
    chain += [f"a{i}: &a{i} [[[[[[[[[[*a{i - 1}]]]]]]]]]]" for i in range(1, 9)]
    for text in (f"data: {deep}", "data: " + "{a: " * 1000, "\n".join(chain)):
        assert f"nested deeper than {MAX_DEPTH} levels" in said(text)[0]


def test_a_large_config_is_read_quickly(tmp_path: Path) -> None:
    entry = "  d{0}:\n    type: file\n    settings: {{path: x{0}}}\n    sources: [web]\n"
    text = "sources: {web: {write_key: k}}\ndestinations:\n" + "".join(entry.format(i) for i in range(1000))
    (tmp_path / "c.yaml").write_text(text)
    assert check(tmp_path / "c.yaml", {}) == []


words = st.sampled_from([
    "server", "port", "sources", "web", "write_key", "destinations", "type", "settings", "discard", "was",
    "file", "${A}", "${", "$${x}", "${file:/}", "*a", "&a ", "<<", "!x ", "no", "08", "0x1f", "1e9999", ".nan",
    "null", "'", '"', "\\uD800", "\\UFFFFFFFF", "\t", "\n", "\n  ", "\n- ", ": ", "{", "}", "[", "]", ",",
    "|\n", ">-\n", "#", "%YAML 1.1\n", "%TAG ! %\n", "---\n", "...\n", "?", "-", "\x85", "\u2028", "\ufeff",
    "é", "🚉", "5d", "10GB",
])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(), st.lists(words, max_size=40).map("".join)))
@example('a: "\\UFFFFFFFF"')
@example('a: "\\uD800"')
@example("%YAML 1." + "1" * 5000 + "\n---\na: 1")
@example("log: {retention: 99999999999999999999, max_bytes: 1e300}")
@example("\ud800")
@example('data: "\\0"\ntransformations: {t: {file: "\\0"}}')
def test_any_text_gives_a_config_or_findings(text: str) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "CSafeLoader", loader)
            try:
                parse(text, "c", {"A": "value"})
            except InvalidConfig as error:
                said = str(error)
            else:
                said = "good"
        assert said.encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(words, max_size=30).map("".join))
def test_check_finds_and_never_raises(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    for diagnostic in check(path, {"A": "value"}):
        assert str(diagnostic).startswith(str(path))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda t: "${" not in t),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text("abcxyz_ :#'é", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("abcxyz_", min_size=1), values, max_size=4))
def test_what_a_yaml_writer_writes_is_read_back(value: dict[str, object]) -> None:
    report = Report("c")
    root = compose(yaml.safe_dump(value), report)
    if root is not None and not report.found:
        assert plain(root) == value
    else:  # a writer of YAML 1.1 leaves unquoted what 1.2 reads otherwise; then it is refused, not misread
        assert report.failed
