"""Intercom: contacts, what they do, and the companies they belong to."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar
from urllib.parse import quote

from destinations.intercom import deletion, mapping
from destinations.intercom.contacts import named_in, picked, search, searched
from destinations.intercom.settings import IntercomSettings
from turnout import (
    Bearer,
    Context,
    Destination,
    Event,
    Json,
    Kind,
    Outcome,
    Request,
    Response,
    Rule,
    User,
    Verdict,
    dead,
    delivered,
    filtered,
    retry,
)
from turnout.destination import Exchange
from turnout.errors import Refused
from turnout.lookups import mapped, traits
from turnout.paths import get
from turnout.turns import Steps, in_turn
from turnout.values import number

__all__ = ["Intercom"]

_VERSIONS: Mapping[str, str] = {"v1": "1.4", "v2": "2.10"}
CODE = "errors[*].code"
_GONE = filtered("Intercom has no contact with these identifiers, so there is nothing to delete")


class Intercom(Destination[IntercomSettings]):
    """The REST API: contacts are searched, then updated or created; groups are companies with their members."""

    slug: ClassVar = "intercom"
    names: ClassVar = ("Intercom", "Intercom V2", "INTERCOM_V2", "Intercom Cloud Mode (Actions)")
    kinds: ClassVar = frozenset({Kind.IDENTIFY, Kind.TRACK, Kind.GROUP, Kind.RECORD})
    options: ClassVar = frozenset({"id", "lookup"})
    settings_type: ClassVar = IntercomSettings
    answer_bytes: ClassVar = 512 << 10  # a page of a search is 50 contacts
    forgets: ClassVar = 1
    rules: ClassVar = (
        Rule("dead", "a field or custom attribute is not one of the workspace", status=401, path=CODE,
             values=("parameter_invalid", "parameter_not_found")),
        Rule("pause", "the plan of the workspace does not allow this", status=(402, 403), path=CODE,
             values=("api_plan_restricted",)),
        Rule("dead", "the workspace has no such company", status=404, path=CODE, values=("company_not_found",)),
        Rule("dead", "another contact has this userId or e-mail address", status=409),
    )  # fmt: skip

    def __init__(self, settings: IntercomSettings) -> None:
        super().__init__(settings)
        self.auth = Bearer(settings.access_token.get_secret_value())
        self._host = settings.host()
        self._contacts = settings.api_version == "v2"
        self._anonymous = settings.send_anonymous_id
        self._headers = {"Accept": "application/json", "Intercom-Version": _VERSIONS[settings.api_version]}
        self._search = f"{self._host}/contacts/search"

    # What to send, where Intercom knows nothing of contact and company yet

    def request(self, event: Event, at: Context) -> Request | Sequence[Request] | Verdict:
        """What an event comes to where no contact is found: a search goes before whatever needs one."""
        message, kind = event.message, event.kind
        if kind == Kind.TRACK:
            ident, email = mapping.who(message, self._anonymous)
            body = mapping.event_of(message, ident, email, at.options(event).get("id"), not self._contacts)
            return self._post("events", body)
        if kind == Kind.GROUP:
            return self._group(message)
        if kind == Kind.RECORD:
            return self._record(message)
        ident, email = mapping.who(message, self._anonymous)
        if not self._contacts:
            user = mapping.user(message, ident, self.settings.update_last_request_at)
            return self._post("users", user) if user.get("user_id") or user.get("email") else _nobody()
        body = mapping.contact(message, ident)
        row = mapping.identifier(message, "external_id") if mapped(message) else None
        if row is None and not ident and not email:
            return _nobody()
        by = search(dict([row]), "all") if row else searched(
            message, ident, email, at.options(event).get("lookup"), self.settings.match
        )
        return [self._post("contacts/search", by.query), self._post("contacts", {**by.extra, **body})]

    def _record(self, message: Mapping[str, Any]) -> Sequence[Request] | Verdict:
        if not self._contacts:
            raise Refused("not_taken", "rows of a warehouse are contacts, which need api_version v2")
        action, known, fields = mapping.row(message)
        made = [self._post("contacts/search", search(known, "all").query)]
        return [*made, self._post("contacts", {**known, **fields})] if action == "insert" else made

    def _group(self, message: Mapping[str, Any]) -> Sequence[Request]:
        ident, email = mapping.member(message, self._anonymous)
        if self._contacts and not ident and not email:  # an address of a group alone may be that of a contact
            email = mapping.word(get(message, "traits.email", None))
        body = mapping.company(message, "_" if self._contacts else ".", email if self._contacts else "")
        made = self._post("companies", body)
        if self._contacts:
            mapping.tags(message)  # which are sent later, and are too many here or never
            found = {name: value for name, value in (("email", email), ("external_id", ident)) if value}
            return [self._post("contacts/search", search(found, self.settings.match).query), made] if found else [made]
        belongs = {name: body[name] for name in ("company_id", "name") if name in body}
        user = {name: value for name, value in (("user_id", ident), ("email", email)) if value}
        users = [self._post("users", {**user, "companies": [belongs]})] if user else []
        return [made, *users, *self._tagged(message, {"company_id": body["company_id"]})]

    def _tagged(self, message: Mapping[str, Any], company: Mapping[str, str]) -> list[Request]:
        return [self._post("tags", {"name": tag, "companies": [company]}) for tag in mapping.tags(message)]

    # What is sent in the end

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Each event in turn: what is sent depends on what Intercom knows already."""
        return (yield from in_turn(events, at, self._steps))

    def _steps(self, event: Event, at: Context) -> Steps:
        made = self.verdict(event, at)
        if not isinstance(made, list):
            assert isinstance(made, Verdict)
            return made
        if made[0].url != self._search:
            if event.kind == Kind.GROUP and self._contacts:
                return (yield from self._with_company(made[0], "", event.message, at))
            return (yield from self._all(made, at))
        answer = yield made[0]
        if not 200 <= answer.status < 300 or answer.cut:
            return self._unread(answer, at)
        if answer.body and not isinstance(answer.json(), dict):  # a page of a proxy: nobody knows who is there
            return retry(f"HTTP {answer.status}: the answer to a search cannot be read", status=answer.status)
        group = event.kind == Kind.GROUP
        ident, _ = (mapping.member if group else mapping.who)(event.message, self._anonymous)
        known = picked(answer, ident)
        if group:
            return (yield from self._with_company(made[1], known, event.message, at))
        if not known and len(made) == 1:
            gone = str(event.message.get("action")).lower() == "delete"
            return _GONE if gone else dead("Intercom has no contact with these identifiers")
        if not known:
            answer = yield made[1]
            known = named_in(answer)
            if not known:
                return self.judge(answer, at)
        return (yield from self._update(event, known, at))

    def _update(self, event: Event, known: str, at: Context) -> Steps:
        url = f"{self._host}/contacts/{quote(known, safe='')}"
        if event.kind == Kind.RECORD:
            action, _, body = mapping.row(event.message)
            if action == "delete":
                return self.judge((yield Request("DELETE", url, headers=self._headers)), at)
        else:
            left = yield from self._detach(event.message, url, at)
            if left is not None:
                return left
            body = mapping.contact(event.message, mapping.who(event.message, self._anonymous)[0])
        return self.judge((yield Request("PUT", url, Json(body), self._headers)), at)

    def _detach(
        self, message: Mapping[str, Any], url: str, at: Context
    ) -> Generator[Request, Response, Verdict | None]:
        """Out of the company that the traits name with `remove: true`; None where nothing is in the way."""
        company = traits(message).get("company")
        if not isinstance(company, dict) or company.get("remove") is not True:
            return None
        ident = mapping.word(company.get("id")) or mapping.word(company.get("company_id"))
        if not ident:
            return dead("traits.company is to be removed and has no id")
        answer = yield Request("GET", f"{self._host}/companies", None, self._headers, {"company_id": ident})
        found = mapping.word(get(answer.json(), "id", None)) if 200 <= answer.status < 300 else ""
        if not found:
            return self._unread(answer, at)
        answer = yield Request("DELETE", f"{url}/companies/{quote(found, safe='')}", headers=self._headers)
        verdict = self.judge(answer, at)
        return None if verdict.outcome is Outcome.DELIVERED else verdict

    def _with_company(self, company: Request, known: str, message: Mapping[str, Any], at: Context) -> Steps:
        """The company is made or updated, then the contact attached to it, then it is tagged."""
        answer = yield company
        verdict = self.judge(answer, at)
        tagged = mapping.tags(message)
        if verdict.outcome is not Outcome.DELIVERED or not (known or tagged):
            return verdict
        ident = mapping.word(get(answer.json(), "id", None))
        if not ident:
            return self._unread(answer, at)
        attach = [self._post(f"contacts/{quote(known, safe='')}/companies", {"id": ident})] if known else []
        return (yield from self._all([*attach, *self._tagged(message, {"id": ident})], at))

    def _all(self, requests: Sequence[Request], at: Context) -> Steps:
        """Requests whose answers change nothing, up to the first that fails."""
        verdict = delivered()
        for request in requests:
            verdict = self.judge((yield request), at)
            if verdict.outcome is not Outcome.DELIVERED:
                break
        return verdict

    # Answers

    def judge(self, response: Response, at: Context) -> Verdict:
        """The rules; a 429 says when its window ends."""
        verdict = super().judge(response, at)
        if response.status != 429 or verdict.after is not None:
            return verdict
        reset = number(response.header("X-RateLimit-Reset"))
        return verdict if reset is None else replace(verdict, after=min(60, max(1, ceil(reset - at.now.timestamp()))))

    def _unread(self, response: Response, at: Context) -> Verdict:
        """An answer without which one cannot go on."""
        verdict = self.judge(response, at)
        if verdict.outcome is not Outcome.DELIVERED:
            return verdict
        if response.cut:
            return retry(f"HTTP {response.status}: the answer is not whole", status=response.status)
        return dead(f"HTTP {response.status}: the answer has no id", response.status)

    def forget(self, users: Sequence[User], at: Context) -> Exchange:
        """Every contact with the userId or the e-mail address is deleted for good, with its conversations."""
        return [(yield from self._forgotten(users[0], at))]

    def _forgotten(self, user: User, at: Context) -> Generator[Request, Response | None, Verdict]:
        lookup = deletion.lookup(
            user, self._host, self._headers, contacts=self._contacts, anonymous=self._anonymous
        )
        if lookup is None:
            return deletion.UNKNOWN
        answer = yield lookup
        assert answer is not None
        if answer.status == 404:
            return deletion.UNKNOWN
        if answer.cut or not 200 <= answer.status < 300:
            return self._unread(answer, at)
        verdict = deletion.UNKNOWN
        for ident in deletion.found(answer):
            answer = yield deletion.removal(ident, self._host, self._headers, contacts=self._contacts)
            assert answer is not None
            verdict = delivered(404) if answer.status == 404 else self.judge(answer, at)
            if verdict.outcome is not Outcome.DELIVERED:
                break
        return verdict

    def _post(self, path: str, body: Any) -> Request:
        return Request("POST", f"{self._host}/{path}", Json(body), self._headers)


def _nobody() -> Verdict:
    return dead("userId or an e-mail address is missing")
