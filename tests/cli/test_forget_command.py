"""`turnout forget` against a running data plane: what it prints, its exit codes, what the audit trail has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from bench.plane import Plane, turnout

sys.path.insert(0, str(Path(__file__).parents[1] / "deliver"))
from crm_tool import KEY, CrmServer, plugged_in

CONFIG = """\
server: {{port: 0}}
admin: {{port: 0}}
egress: {{allow_private: true}}
sources: {{web: {{write_key: wk_test}}}}
destinations:
  crm: {{type: crm, settings: {{url: "{url}", key: {key}}}}}
  hook: {{type: webhook, settings: {{webhook_url: "{url}"}}}}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def crm() -> Iterator[CrmServer]:
    with CrmServer() as running:
        yield running


@pytest.fixture(scope="module")
def plane(crm: CrmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("forget")
    plane = Plane(folder / "plane", CONFIG.format(url=crm.url, key=KEY), plugged_in(folder / "plugin"))
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def run(plane: Plane, crm: CrmServer) -> Run:
    crm.clear()
    crm.gone.clear()

    def run(*words: str, given: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            [turnout(), "forget", "--config", str(plane.config), *words], input=given, capture_output=True, text=True,
            timeout=60, check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_one_user_everywhere(run: Run, crm: CrmServer, plane: Plane) -> None:
    code, out, err = run("--user-id", "ann-7")
    assert (code, crm.gone) == (0, ["ann-7"])
    assert out.split("\n")[1].split() == ["crm", "crm", "done", "1", "0", "0", "0"]
    assert "cannot delete users, do it there by hand: hook" in err
    assert "docs/privacy.md" in err
    last = json.loads((plane.folder / "data" / "audit.log").read_text().splitlines()[-1])
    assert (last["verb"], last["status"]) == ("forget", 200)
    assert last["users"] == [sha256(b"ann-7").hexdigest()]
    assert "ann-7" not in (plane.folder / "data" / "audit.log").read_text() + plane.output


def test_a_file_of_users_goes_in_calls_and_names_those_to_ask_again(run: Run, crm: CrmServer, tmp_path: Path) -> None:
    users = [{"userId": f"u{n}"} for n in range(230)]
    users[150] = {"userId": "429"}
    users[151] = {"email": "ann@example.com"}
    file = tmp_path / "users.jsonl"
    file.write_text("\n".join(json.dumps(user) for user in users) + "\n\n")
    code, out, _ = run("--file", str(file), "--destination", "crm", "--json")
    told = json.loads(out)
    assert (code, told["users"]) == (1, 230)
    row = told["destinations"]["crm"]
    assert (row["done"], row["skipped"], row["retry"], row["again"], row["retry_after"]) == (228, 1, 1, [151], 7)
    assert len(crm.gone) == 228
    code, out, err = run("--file", "-", given='{"userId": "429"}\n')
    assert code == 1
    assert "crm: ask again in 7 s, for user 1" in err


def test_what_cannot_be_done_where_it_was_asked_for_is_not_done(run: Run) -> None:
    code, out, _ = run("--email", "ann@example.com", "--destination", "hook", "--json")
    assert (code, json.loads(out)["destinations"]["hook"]["outcome"]) == (1, "not_supported")


def test_dry_run(run: Run, crm: CrmServer) -> None:
    code, out, _ = run("--user-id", "a", "--dry-run")
    assert (code, crm.received) == (0, [])
    assert out == "crm (crm): would be asked\nhook (webhook): cannot delete users\n"
    code, out, _ = run("--email", "ann@example.com", "--dry-run", "--destination", "crm")
    assert (code, out) == (0, "crm (crm): would not be asked; 1 user: no userId\n")
    code, out, _ = run("--file", "-", "--dry-run", "--destination", "crm", given='{"userId": "a"}\n{"userId": "bug"}\n')
    assert code == 1
    assert out.startswith("crm (crm): would be asked about 1 of 2 users; 1 user: adapter error: KeyError at ")


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        ((), "", "name a user (--user-id, --email, --anonymous-id), or a --file of users"),
        (("--user-id", "a", "--file", "x"), "", "name a user"),
        (("--file", "-"), "", "-: no users in it"),
        (("--file", "-"), '{"userId": "a"}\n{"user_id": "b"}\n', "-:2: a user has 1 keys that are not known"),
        (("--file", "-"), "ann\n", "-:1: the body is not valid JSON"),
        (("--file", "/no/such/file"), "", "/no/such/file: No such file"),
        (("--user-id", "a", "--destination", "cmr"), "", "no destination is called cmr"),
        (("--user-id", "a" * 1001), "", "userId is text of at most 1,000 characters"),
    ],
)
def test_a_wrong_command_says_what_to_change(
    run: Run, crm: CrmServer, words: tuple[str, ...], given: str, said: str
) -> None:
    code, out, err = run(*words, given=given)
    assert (code, out, crm.gone) == (1, "", [])
    assert said in err
