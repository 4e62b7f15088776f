"""A tool that deletes users, two in a request, and asks for a bearer token; a plug-in that a config names as `crm`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from turnout import Context, Destination, Event, Json, Request, Rule, Settings, User, filtered
from turnout.auth import Bearer
from turnout.destination import Exchange
from turnout.testing import Received, Tool

ENTRY = EntryPoint("crm", "crm_tool:Crm", "turnout.destinations")
KEY = "crm-key-123"


class CrmSettings(Settings):
    url: str = Field(description="Where it is.", examples=["http://127.0.0.1:9/"])
    key: SecretStr = Field(description="The key.", examples=["k"])


class Crm(Destination[CrmSettings]):
    slug: ClassVar = "crm"
    names: ClassVar = ("Crm",)
    settings_type: ClassVar = CrmSettings
    forgets: ClassVar = 2
    rules: ClassVar = (Rule("delivered", "was not there", status=404),)

    def __init__(self, settings: CrmSettings) -> None:
        super().__init__(settings)
        self.auth = Bearer(settings.key.get_secret_value())

    def request(self, event: Event, at: Context) -> Request:
        return Request("POST", self.settings.url + "events", Json({"id": event.message_id}))

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        ids = [user.user_id for user in users if user.user_id]
        if "bug" in ids:
            raise KeyError("ines@example.com")
        said = filtered("no userId")
        if ids:
            response = yield Request("POST", self.settings.url + "delete", Json({"ids": ids}))
            assert response is not None
            said = self.judge(response, at)
        return [said if user.user_id else filtered("no userId") for user in users]


class CrmServer(Tool):
    """`gone` are the ids that were deleted; an id that is a status is answered with it."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.gone: list[str] = []

    def answered(self, asked: Received) -> tuple[int, Any] | tuple[int, Any, dict[str, str]]:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return 401, {}
        ids = asked.json().get("ids", [])
        for one in ids:
            if one.isdigit():
                return int(one), {}, {"Retry-After": "7"} if one == "429" else {}
        self.gone += ids
        return 200, {}


def plugged_in(folder: Path) -> dict[str, str]:
    """The environment of a process that finds the plug-in: its entry point is written into `folder`."""
    info = folder / "crm_tool-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crm-tool\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY.group}]\n{ENTRY.name} = {ENTRY.value}\n")
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parent}"}
