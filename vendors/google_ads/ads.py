"""What the destinations of the Google Ads API have in common: look-ups of names, then uploads in batches.

Source: https://developers.google.com/google-ads/api/docs/rest/overview and
https://developers.google.com/google-ads/api/docs/conversions/upload-offline (2,000 conversions of a request).
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, TypeVar

from turnout import Context, Destination, Event, Json, Outcome, Request, Response, Rule, Verdict, dead, retry
from turnout.destination import UNSENT, Exchange, stopping
from turnout.errors import Refused
from vendors.google_ads.answers import RULES, partly, unwrapped
from vendors.google_ads.names import ACTION, Names, Question, found_in, query
from vendors.google_ads.settings import Account, AdsSettings, account_of

__all__ = ["API", "MOST", "Ads"]

A = TypeVar("A", bound=AdsSettings)
API: Final = "https://googleads.googleapis.com"
MOST: Final = 2000
"""Conversions of a request."""
_SECRET: Final = frozenset({"developer-token"})
_PLACES: Final = {ACTION: "conversionActions"}
Asked = Iterable[tuple[Question, str]]


class Ads(Destination[A]):
    """Subclasses say in `asked` which names an event needs, and take them from `resource` in `request`."""

    rules: ClassVar[tuple[Rule, ...]] = RULES
    answer_bytes: ClassVar = 8 << 20  # 2,000 conversions are repeated in an answer

    def __init__(self, settings: A) -> None:
        super().__init__(settings)
        self.auth = settings.credentials()
        self.account = account_of(settings)
        self.host = f"{API}/{settings.api_version}"
        self._names = Names()
        self._found: Mapping[tuple[Question, str], str] | None = None
        self._trouble: Mapping[Question, Verdict] = {}
        self._headers: dict[str, Mapping[str, str]] = {}

    # ---- for subclasses

    def asked(self, event: Event) -> Asked:
        """The names whose resources an event needs. May raise `Refused`."""
        raise NotImplementedError

    def listed(self, kind: str) -> Sequence[str]:
        """All names of a kind in the settings: they are asked for together."""
        raise NotImplementedError

    def resource(self, account: Account, kind: str, name: str) -> str | Verdict | None:
        """The resource of a name, why it could not be asked for, or None where there is none in the account.

        Without an exchange, as in a preview of a single event, the name stands for its id.
        """
        if self._found is None:
            return f"customers/{account.customer}/{_PLACES.get(kind, 'conversionCustomVariables')}/{name}"
        question = Question(account, kind)
        return self._trouble.get(question) or self._found.get((question, name))

    def action(self, account: Account, name: str) -> str | Verdict:
        """The conversion action of a name; `dead` where the account has none."""
        found = self.resource(account, ACTION, name)
        return found or dead(f"the account has no conversion action {name[:100]!r}")

    def post(self, account: Account, path: str, body: Any) -> Request:
        """A request for an account; `path` follows its number, such as `:uploadClickConversions`."""
        headers = self._headers.get(account.login)
        if headers is None:
            headers = {"developer-token": self.settings.developer_token.get_secret_value()}
            if account.login:
                headers["login-customer-id"] = account.login
            if len(self._headers) < MOST:
                self._headers[account.login] = headers
        return Request("POST", f"{self.host}/customers/{account.customer}{path}", Json(body), headers, secret=_SECRET)

    # ---- the exchange

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """Ask for what is not known of the names, then upload as usual."""
        informed = yield from self.informed(events, at)
        return (yield from super(Ads, informed).exchange(events, at))

    def informed(self, events: Sequence[Event], at: Context) -> Generator[Request, Response | None, Any]:
        """A copy of this adapter that knows the resources of all names that the events need, or why not."""
        wanted: dict[Question, dict[str, list[int]]] = {}
        for i, event in enumerate(events):
            try:
                for question, name in self.asked(event) if event.kind in self.kinds else ():
                    wanted.setdefault(question, {}).setdefault(name, []).append(i)
            except Refused:
                continue  # it dies of the same in `request`
        found: dict[tuple[Question, str], str] = {}
        trouble: dict[Question, Verdict] = {}
        stop: Verdict | None = None
        for question, names in wanted.items():
            known = self._names.known(question, names, at.now)
            if len(known) < len(names):
                if stop is not None:
                    trouble[question] = stop
                    continue
                every = tuple(dict.fromkeys((*self.listed(question.kind), *names)))
                places = tuple(sorted({i for one in names.values() for i in one}))
                response = yield replace(self._search(question, every), events=places)
                assert response is not None
                failed = self._failed(response, at)
                if failed is None:
                    new = found_in(response.json(), question.kind, every, question.account)
                    self._names.keep(question, new, at.now)
                    known = new
                else:
                    trouble[question] = failed
                    stop = stopping(stop, failed)
            found.update({(question, name): resource for name, resource in known.items()})
        informed = copy.copy(self)
        informed._found, informed._trouble = found, trouble
        return informed

    def _search(self, question: Question, names: Sequence[str]) -> Request:
        return self.post(question.account, "/googleAds:searchStream", {"query": query(question.kind, names)})

    def _failed(self, response: Response, at: Context) -> Verdict | None:
        """Why an answer to a question tells nothing; None where it does."""
        verdict = self.judge(response, at)
        if verdict.outcome is not Outcome.DELIVERED:
            return replace(verdict, reason=f"{UNSENT}{verdict.reason} (asked for names)")
        if response.cut or (response.body and response.json() is None):
            return retry(f"HTTP {response.status}: the answer about names cannot be read", status=response.status)
        return None

    # ---- answers

    def judge(self, response: Response, at: Context) -> Verdict:
        """As the rules say; where the event chose the account, a refusal of that account is about the event alone."""
        verdict = super().judge(unwrapped(response), at)
        if verdict.outcome is Outcome.PAUSE and response.status == 403 and not self.settings.fixed():
            return dead(verdict.reason, 403)
        return verdict

    def verdicts(self, request: Request, response: Response, at: Context) -> Sequence[Verdict]:
        """For each conversion, in the order of the request."""
        if not 200 <= response.status < 300:
            return super().verdicts(request, response, at)
        if request.url.endswith(":searchStream"):
            nothing = not any(part.get("results") for part in _parts(response.json()))
            verdict = dead("the account has no conversion action of this name") if nothing else self.judge(response, at)
            return [verdict] * len(request.events)
        return partly(response, len(request.events))


def _parts(said: Any) -> list[Mapping[str, Any]]:
    return [part for part in (said if isinstance(said, list) else [said]) if isinstance(part, dict)]
