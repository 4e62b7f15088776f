"""docs/one-identify.md as it stands there: `turnout run` with its configuration, and stand-ins for the tools."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from salesforce_api import Org
from test_customerio import TrackApi
from test_intercom import Api

from bench.plane import Plane
from dataplane.config.starter import starter_files
from tests.project.checkout import ROOT

PAGE = (ROOT / "docs" / "one-identify.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
ENVIRON = {
    "SALESFORCE_USERNAME": "mate@crew.example.com", "SALESFORCE_PASSWORD": "a<b&c", "SALESFORCE_SECURITY_TOKEN": "T0K",
    "CUSTOMERIO_SITE_ID": "harbour", "CUSTOMERIO_API_KEY": "k-31", "INTERCOM_TOKEN": "tok-31",
}


class Story:
    """A running Turnout with the page's configuration, and the three tools that it cannot tell from the real ones."""

    def __init__(self, plane: Plane, org: Org, mails: TrackApi, support: Api) -> None:
        self.plane, self.org, self.mails, self.support = plane, org, mails, support

    def send(self, name: str) -> None:
        """The page's event of this name, as `turnout send` sends it."""
        file = self.plane.folder / name
        file.write_text(FILES[name])
        self.turnout("send", str(file))

    def turnout(self, *words: str) -> str:
        """What a command prints; it must succeed."""
        made = subprocess.run(
            [sys.executable, "-m", "dataplane.cli.main", *words], cwd=self.plane.folder, capture_output=True, text=True,
            timeout=60, check=False, env={**os.environ, **ENVIRON},
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout

    def settled(self, events: int) -> dict[str, dict[str, int]]:
        """Verdicts by destination, once every one has so many."""
        until = time.monotonic() + 60
        while True:
            found = {name: {word: row[word] for word in ("delivered", "filtered", "dead")}
                     for name, row in self.plane.status()["destinations"].items()}
            if all(sum(one.values()) == events for one in found.values()):
                return found
            assert time.monotonic() < until, found
            time.sleep(0.02)

    def lines(self) -> list[dict[str, Any]]:
        """The records in the archive."""
        found = sorted((self.plane.folder / "signups").rglob("*.*"))
        return [json.loads(line) for path in found if path.is_file() for line in path.read_text().splitlines()]

    def emails(self) -> dict[str, list[str]]:
        """Who is known where."""
        return {
            "crm": sorted(lead["Email"] for lead in self.org.records["Lead"].values()),
            "mails": sorted(one.json()["email"] for one in self.mails.received),
            "support": sorted(one["email"] for one in self.support.contacts.values()),
            "archive": sorted(one["traits"]["email"] for one in self.lines()),
        }


@pytest.fixture
def story(data_plane: Callable[..., Plane]) -> Iterator[Story]:
    with Org() as org, TrackApi() as mails, Api() as support:
        (text,) = (found for found in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if found.startswith("egress"))
        egress = yaml.safe_load(text)["egress"]
        servers = {"login.salesforce.com": org, "track.customer.io": mails, "api.intercom.io": support}
        assert egress["stand_ins"].keys() == servers.keys()
        places = {host: server.url for host, server in servers.items()} | {"crew.my.salesforce.com": org.url}
        chosen = {
            **yaml.safe_load(FILES["config.yaml"]), "egress": {**egress, "stand_ins": places},
            "server": {"host": "127.0.0.1", "port": 0}, "admin": {"host": "127.0.0.1", "port": 0},
        }
        starter = {name: content.decode() for name, content in starter_files().items() if name != "config.yaml"}
        plane = data_plane(yaml.safe_dump(chosen, sort_keys=False), files=starter, environ=ENVIRON)
        yield Story(plane, org, mails, support)


def test_one_identify_is_a_lead_two_persons_and_a_record(story: Story) -> None:
    story.send("signup.json")
    assert story.settled(1) == {
        name: {"delivered": 1, "filtered": 0, "dead": 0} for name in ("crm", "mails", "support", "archive")
    }
    (lead,) = story.org.records["Lead"].values()
    assert (lead["FirstName"], lead["LastName"], lead["Phone"]) == ("Ines", "Rocha", "+351210000000")
    (person,) = story.mails.received
    assert (person.method, person.path) == ("PUT", "/api/v1/customers/g-17")
    assert person.headers["host"] == "track.customer.io"
    assert person.headers["authorization"] == "Basic " + base64.b64encode(b"harbour:k-31").decode()
    assert person.json()["name"] == "Ines Rocha"
    (contact,) = story.support.contacts.values()
    assert (contact["external_id"], contact["email"], contact["name"]) == ("g-17", "ines@example.com", "Ines Rocha")
    (record,) = story.lines()
    assert (record["type"], record["userId"], record["context"]["checked_by"]) == ("identify", "g-17", "drop_internal")
    assert "config.stand_in" in story.plane.output


def test_an_identify_of_somebody_known_changes_and_adds_nobody(story: Story) -> None:
    story.send("signup.json")
    story.settled(1)
    story.send("signup.json")
    story.settled(2)
    assert (len(story.org.records["Lead"]), len(story.support.contacts)) == (1, 1)


def test_false_in_integrations_removes_exactly_one_and_a_script_drops_colleagues_for_all(story: Story) -> None:
    story.send("not-by-mail.json")
    verdicts = story.settled(1)
    assert {name for name, one in verdicts.items() if one["filtered"]} == {"mails"}
    story.send("colleague.json")
    verdicts = story.settled(2)
    filtered = {name: one["filtered"] for name, one in verdicts.items()}
    assert filtered == {"crm": 1, "mails": 2, "support": 1, "archive": 1}
    assert [one["dead"] for one in verdicts.values()] == [0] * 4
    story.send("signup.json")
    story.settled(3)
    both = ["ines@example.com", "rui@example.com"]
    assert story.emails() == {"crm": both, "mails": ["ines@example.com"], "support": both, "archive": both}


def test_the_page_says_the_reasons_that_people_see(story: Story) -> None:
    for name, ident, reason in (
        ("not-by-mail.json", "m-18", "integrations.Customer.io is false"),
        ("colleague.json", "m-19", "dropped by drop_internal"),
    ):
        file = story.plane.folder / name
        file.write_text(json.dumps({**json.loads(FILES[name]), "messageId": ident}))
        story.turnout("send", str(file))
        assert reason in PAGE
    story.settled(2)
    assert "integrations.Customer.io is false" in story.turnout("explain", "m-18")
    assert "drop_internal" in story.turnout("explain", "m-19")
