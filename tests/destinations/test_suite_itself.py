"""The contract suite finds what it is there to find: each broken adapter fails the right test."""

from __future__ import annotations

import textwrap

import pytest

# Loaded here, and not by the first of the runs below: pytester would forget it, and what holds its classes would not.
import turnout.testing.suite  # noqa: F401 -- see above

pytest_plugins = ["pytester"]

GOOD = """
from typing import ClassVar
from pydantic import Field, SecretStr
from turnout import *

class ToolSettings(Settings):
    api_key: SecretStr = Field(description="The key.", examples=["k"])
    dataset: str = Field("main", description="Where events go.", examples=["main"])

class Tool(Destination[ToolSettings]):
    slug: ClassVar = "tool"
    names: ClassVar = ("Tool",)
    kinds: ClassVar = frozenset({Kind.TRACK})
    delivery = Delivery(batch=50)
    settings_type: ClassVar = ToolSettings

    def request(self, event, at):
        key = self.settings.api_key.get_secret_value()
        body = {"id": event.message_id, "name": event.get("event", None)}
        return Request("POST", "https://tool.example.com/" + self.settings.dataset, Json(body),
                       {"Authorization": "Bearer " + key})
"""
FIXTURE = """
settings: {api_key: a-key}
event: {type: track, messageId: m-1, event: Booked, properties: {seats: 2}}
sends:
  - url: https://tool.example.com/main
    headers: {authorization: Bearer a-key}
    json: {id: m-1, name: Booked}
when:
  - {status: 200, verdict: delivered}
"""
README = "# Tool\n`api_key` and `dataset`.\n"


@pytest.fixture
def tried(pytester: pytest.Pytester):
    """Run the suite (or what `only` names) over an adapter; returns names of the tests that failed."""

    def run(
        code: str = GOOD, fixture: str = FIXTURE, readme: str = README, only: str = "", contract: str = ""
    ) -> set[str]:
        folder = pytester.mkpydir("tool")
        (folder / "__init__.py").write_text(code)
        (folder / "README.md").write_text(readme)
        (folder / "fixtures").mkdir()
        (folder / "fixtures" / "one.yaml").write_text(textwrap.dedent(fixture))
        pytester.makepyfile(
            test_tool="from tool import Tool\nfrom turnout.testing import DestinationContract\n"
            f"class TestTool(DestinationContract):\n    destination = Tool\n    {contract}\n"
        )
        result = pytester.inline_run("-p", "no:cacheprovider", "-p", "no:asyncio", "-k", only)
        _, _, failed = result.listoutcomes()
        return {report.location[2].split(".")[-1].split("[")[0] for report in failed}

    return run


def test_a_good_adapter_passes(tried) -> None:
    assert tried() == set()


@pytest.mark.parametrize("line", ["    _single = 1\n", "    def __init__(self, s):\n        self._chunks = s\n"])
def test_a_name_of_the_base_fails(tried, line: str) -> None:
    test = "test_it_takes_no_private_name_of_the_base"
    broken = GOOD.replace("    def request", f"{line}\n    def request")
    assert tried(broken, only=test) == {test}


def test_what_is_never_sent_passes_nobody(tried) -> None:
    line = '        if event.message_id[-1] in "357": return dead("odd")\n'
    refuses = GOOD.replace("        body =", f"{line}        body =")
    assert tried(refuses, only="test_order_of_a_user_is_kept") == set()


ASKS = """
    def exchange(self, events, at, resume=None):
        yield Request("GET", "https://tool.example.com/known", events=tuple(range(len(events))))
        return (yield from super().exchange(events, at))
"""


def test_a_look_up_for_all_is_no_event_out_of_order(tried) -> None:
    says = "def looks_up(self, request): return request.method == 'GET'"
    assert tried(GOOD + ASKS, contract=says) == set()


def test_a_request_for_all_that_no_one_calls_a_look_up_is_one_too_large(tried) -> None:
    test = "test_every_event_is_in_one_request_or_has_a_verdict"
    assert tried(GOOD + ASKS, only=test) == {test}


@pytest.mark.parametrize(
    ("old", "new", "test"),
    [
        ('slug: ClassVar = "tool"', 'slug: ClassVar = "other"', "test_it_says_what_it_is"),
        (', examples=["main"]', "", "test_every_setting_is_described_with_an_example"),
        ("class ToolSettings(Settings):", "class ToolSettings(Settings, extra='ignore'):",
         "test_settings_are_strict"),
        ("api_key: SecretStr", "api_key: str", "test_what_is_named_like_a_secret_is_one"),
        ('"name": event.get("event", None)', '"name": event.get("event"), "key": str(self.settings)',
         "test_fixture"),
        ('slug: ClassVar = "tool"', 'slug: ClassVar = "tool"\n    __repr__ = lambda s: s.settings.api_key'
         '.get_secret_value()', "test_secrets_are_never_shown"),
        ('"id": event.message_id', '"id": id(event)', "test_twice_the_same"),
        ('"name": event.get("event", None)', '"name": event.message.pop("event", None)', "test_twice_the_same"),
        ('"name": event.get("event", None)', '"name": event.message["event"]', "test_hostile_events_never_raise"),
        ('"name": event.get("event", None)', '"name": event.get("event", "").upper()',
         "test_hostile_events_never_raise"),
        ('"https://tool.example.com/" + self.settings.dataset', '"https://tool.example.com/?k=" + key',
         "test_fixture"),
    ],
)
def test_a_broken_adapter_fails(tried, old, new, test) -> None:
    assert old in GOOD
    assert tried(GOOD.replace(old, new), only=test) == {test}


BROKEN = {
    "test_batches_keep_to_their_bytes": """
    def merge(self, requests):
        import dataclasses
        return dataclasses.replace(super().merge(requests), body=JsonArray(["x" * 4000]))
""",
    "test_every_event_is_in_one_request_or_has_a_verdict": """
    def exchange(self, events, at, resume=None):
        yield Request("POST", "https://tool.example.com/", Json(1), events=tuple(range(len(events) - 1)))
        return [delivered(200)] * len(events)
""",
    "test_order_of_a_user_is_kept": """
    def exchange(self, events, at, resume=None):
        found = {}
        for i in reversed(range(len(events))):
            found[i] = self.judge((yield Request("POST", "https://t.example/", Json(1), events=(i,))), at)
        return [found[i] for i in range(len(events))]
""",
    "test_status": """
    def judge(self, response, at):
        return delivered(200)
""",
    "test_kinds_it_does_not_take_are_filtered": """
    def verdict(self, event, at):
        return [Request("POST", "https://tool.example.com/", Json(1))]
""",
}


JOBS = """
    resumable: ClassVar = True

    def exchange(self, events, at, resume=None):
        everyone, url = tuple(range(len(events))), "https://tool.example.com/"
        state = resume
        if state is None:
            made = (yield Request("POST", url + "jobs", events=everyone)).json() or {}
            state = {"job": made.get("id")}
            yield Checkpoint(state)
        if "closed" not in state:
            rows = Json([event.message_id for event in events])
            yield Request("PUT", url + f"jobs/{state['job']}", rows, events=everyone)
            state = {**state, "closed": True}
            yield Checkpoint(state)
        answer = yield Request("GET", url + f"jobs/{state['job']}", events=everyone)
        if answer.status == 202:
            return [retry("the job is running", after=5)] * len(events)
        return [self.judge(answer, at)] * len(events)
"""
JOB_TOOL = """
from turnout.testing import Tool as StandIn

class Stand(StandIn):
    def __init__(self):
        super().__init__()
        self.taken, self.jobs, self.polls = [], {}, 2
    def answered(self, asked):
        name = asked.path.rpartition("/")[2]
        if asked.method == "POST":
            self.jobs[str(len(self.jobs))] = None
            return 200, {"id": str(len(self.jobs) - 1)}
        if asked.method == "PUT":
            if self.jobs[name] is None:
                self.jobs[name] = asked.json()
                self.taken.extend(asked.json())
            return 200, {}
        self.polls -= 1
        return (202, {}) if self.polls >= 0 else (200, {})
"""
STAND = "tool = __import__('stand').Stand"


def test_an_exchange_that_goes_on_passes(tried, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(stand=JOB_TOOL)
    assert tried(GOOD + JOBS, only="goes_on or status or batch", contract=STAND) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("state = resume", "state = None"),
        ("yield Checkpoint(state)\n        if", "pass\n        if"),
        ("resumable: ClassVar = True", ""),
    ],
)
def test_an_exchange_that_begins_again_fails(tried, pytester: pytest.Pytester, old: str, new: str) -> None:
    pytester.makepyfile(stand=JOB_TOOL)
    assert old in JOBS
    twice = JOBS.replace(old, new)
    if not new:
        assert "test_every_event_is_in_one_request_or_has_a_verdict" in tried(GOOD + twice, contract=STAND)
    else:
        assert tried(GOOD + twice, only="goes_on", contract=STAND) == {"test_a_killed_exchange_goes_on"}


def test_a_resumable_adapter_without_a_tool_fails(tried) -> None:
    assert tried(GOOD + JOBS, only="goes_on") == {"test_a_killed_exchange_goes_on"}


FORGET = """
    forgets: ClassVar = 2

    def forget(self, users, at):
        answer = yield Request("POST", "https://tool.example.com/delete", Json([user.user_id for user in users]))
        return [self.judge(answer, at)] * len(users)
"""


def test_an_adapter_that_forgets_passes(tried) -> None:
    assert tried(GOOD + FORGET, only="forgotten or broken") == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("forgets: ClassVar = 2", ""),
        ("* len(users)", ""),
        ("[user.user_id for user in users]", "len(users[-1].user_id.encode())"),
        ("def forget(", "def erase("),
    ],
)
def test_an_adapter_that_forgets_wrongly_fails(tried, old, new) -> None:
    assert old in FORGET
    assert tried(GOOD + FORGET.replace(old, new), only="forgotten") == {"test_users_are_forgotten"}


RULES = """
    rules: ClassVar = (
        Rule("retry", "the tool is being moved", status=404, path="moving"),
        Rule("delivered", "gone already", status=404),
    )
"""
SHOWN = """
  - {status: 404, body: {moving: true}, verdict: retry}
  - {status: 404, verdict: delivered}
"""


def test_rules_are_shown_by_answers(tried) -> None:
    assert tried(GOOD + RULES, FIXTURE + SHOWN.lstrip("\n")) == set()


def test_a_rule_that_no_answer_shows_fails(tried) -> None:
    assert tried(GOOD + RULES, FIXTURE) == {"test_each_rule_is_shown"}


def test_a_rule_behind_one_that_always_wins_fails(tried) -> None:
    lines = RULES.strip("\n").split("\n")
    turned = "\n".join((lines[0], lines[2], lines[1], lines[3]))
    shown = SHOWN.lstrip("\n").replace("verdict: retry", "verdict: delivered")
    assert tried(GOOD + "\n" + turned + "\n", FIXTURE + shown) == {"test_each_rule_is_shown"}


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_broken_delivery_fails(tried, test) -> None:
    assert tried(GOOD + BROKEN[test], only=test) == {test}


def test_broken_papers_fail(tried) -> None:
    failed = tried(fixture=FIXTURE.replace("verdict: delivered", "verdict: dead"), readme="# Tool\n`api_key`\n")
    assert failed == {"test_answer", "test_the_readme_names_every_setting"}


def test_a_fixture_that_expected_another_verdict_is_told_why() -> None:
    from destinations.slack import Slack
    from turnout.testing.fixture import Fixture

    given = {"name": "f", "event": {"type": "track", "userId": "u"}, "settings": {"webhook_url": "https://h.example/x"}}
    told = Fixture(**given).made(Slack)
    assert told["verdict"] == "dead"
    assert told["reason"]
    assert Fixture(**given, verdict="dead").made(Slack)["reason"] == "", "a fixture need not say the reason"


def test_a_fixture_with_an_unknown_key_is_an_error(pytester: pytest.Pytester) -> None:
    from turnout.testing.fixture import _read

    path = pytester.path / "odd.yaml"
    for text, said in (("event: {}\nsettings: {}\nsend: []", "send"), ("event: {}", "needs event and settings"),
                       ("event: {}\nsettings: {}\nsends: [{url: x, jsn: 1}]", "jsn")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            _read(path)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{timestamp: 2026-11-25T10:00:00Z}", "event.timestamp: YAML reads 2026-11-25T10:00:00.*as a date: write it"),
        ("{traits: {born: 2001-02-03}}", "event.traits.born: YAML reads 2001-02-03 as a date"),
        ("{properties: {a: [{b: 2001-02-03}]}}", r"event.properties.a\[0\].b: YAML reads 2001-02-03"),
        ("{properties: {a: !!binary aGk=}}", "event.properties.a: YAML reads this as bytes, which JSON"),
    ],
)
def test_a_fixture_holds_only_what_json_can(pytester: pytest.Pytester, event: str, said: str) -> None:
    from turnout.testing.fixture import _read

    path = pytester.path / "odd.yaml"
    path.write_text(f"settings: {{}}\nevent: {event}\n")
    with pytest.raises(ValueError, match=f"odd.yaml: {said}"):
        _read(path)
    path.write_text('settings: {}\nevent: {timestamp: "2026-11-25T10:00:00Z", a: [null, 1, 0.5, true]}\n')
    assert _read(path).event["timestamp"] == "2026-11-25T10:00:00Z"
