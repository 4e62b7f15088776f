"""Google Ads Offline Conversions: clicks, calls and sales in shops that became something of worth."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from destinations.google_offline_conversions.jobs import JOBS, Progress, key_of, submitted
from destinations.google_offline_conversions.mapping import call, click, consent
from destinations.google_offline_conversions.settings import GoogleOfflineConversionsSettings
from destinations.google_offline_conversions.store import job, operation
from turnout import Context, Delivery, Event, Json, Kind, Request, Response, Verdict, codec, dead, filtered
from turnout.destination import Destination, Exchange
from turnout.fields import getter
from turnout.request import Checkpoint
from turnout.values import text
from vendors.google_ads.ads import MOST, Ads, Asked
from vendors.google_ads.names import ACTION, VARIABLE, Question
from vendors.google_ads.people import People
from vendors.google_ads.settings import Account

__all__ = ["GoogleOfflineConversions"]

_PATHS = {"click": ":uploadClickConversions", "call": ":uploadCallConversions"}


class GoogleOfflineConversions(Ads[GoogleOfflineConversionsSettings]):
    """track: the conversions that the settings name for the event."""

    slug: ClassVar = "google_offline_conversions"
    names: ClassVar = ("Google Ads Offline Conversions", "GOOGLE_ADWORDS_OFFLINE_CONVERSIONS")
    kinds: ClassVar = frozenset({Kind.TRACK})
    # A conversion has its own time, so the order in which those of a user arrive means nothing.
    delivery = Delivery(batch=MOST, batch_bytes=5_000_000, concurrency=4, order="none")
    options: ClassVar = frozenset({"consents"})
    settings_type: ClassVar = GoogleOfflineConversionsSettings
    resumable: ClassVar = True

    def __init__(self, settings: GoogleOfflineConversionsSettings) -> None:
        super().__init__(settings)
        self._people = People(form=settings.hash_form, hashed=settings.hash_user_identifier)
        self._ways = {name.strip().lower(): ways for name, ways in settings.conversion_types.items()}
        names = settings.conversion_names.items()
        self._actions = {name.strip().lower(): to.strip() for name, to in names if to.strip()}
        self._variables = tuple(
            (getter(f"properties.{name}"), to.strip()) for name, to in settings.custom_variables.items() if to.strip()
        )

    # ---- what is sent

    def request(self, event: Event, at: Context) -> Sequence[Request] | Verdict:
        """A request for each conversion; that of a shop is a job and its operation, which are sent in three calls."""
        message = event.message
        ways, name = self._meant(event)
        if not ways:
            return filtered("the event is not among `conversion_types`")
        if not name:
            return dead("`conversion_names` has no conversion action for this event")
        account = self.account(message)
        action = self.action(account, name)
        if isinstance(action, Verdict):
            return action
        allowed = consent(at.options(event), self.settings)
        made: list[Request] = []
        for way in ways:
            if way == "store":
                sale = operation(message, self.settings, self._people, action)
                body = {"job": job(message), "operations": [{"create": {**sale, "consent": allowed}}]}
                made.append(self.post(account, JOBS, body))
                continue
            one = click(message, self.settings, self._people) if way == "click" else call(message)
            one |= {"conversionAction": action, "consent": allowed}
            if "gbraid" not in one and "wbraid" not in one:  # Google takes no variables with these
                found = self._values(event, account)
                if isinstance(found, Verdict):
                    return found
                if found:
                    one["customVariables"] = found
            made.append(self.post(account, _PATHS[way], {"conversions": [one], "partialFailure": True}))
        return made

    def _meant(self, event: Event) -> tuple[Sequence[str], str]:
        name = event.message.get("event")
        plain = name.strip().lower() if isinstance(name, str) else ""
        return self._ways.get(plain, ()), self._actions.get(plain, "")

    def _values(self, event: Event, account: Account) -> list[dict[str, str]] | Verdict:
        """The custom variables that the event has values for; those that the account does not know are left out."""
        made = []
        for name, value in self._given(event):
            found = self.resource(account, VARIABLE, name)
            if isinstance(found, Verdict):
                return found
            if found is not None:
                made.append({"conversionCustomVariable": found, "value": value})
        return made

    def _given(self, event: Event) -> list[tuple[str, str]]:
        found = ((name, find(event.message)) for find, name in self._variables)
        return [(name, text(value) or "") for name, value in found if value is not None and value != ""]

    def asked(self, event: Event) -> Asked:
        """The action, and the variables that the event has values for."""
        ways, name = self._meant(event)
        if not ways or not name:
            return
        account = self.account(event.message)
        yield Question(account, ACTION), name
        if ways != ("store",):
            for variable, _ in self._given(event):
                yield Question(account, VARIABLE), variable

    def listed(self, kind: str) -> Sequence[str]:
        """The names of all actions, or of all variables."""
        return tuple(self._actions.values()) if kind == ACTION else tuple(name for _, name in self._variables)

    # ---- batches

    def group(self, request: Request) -> Hashable | None:
        """Sales of one job say the same of the shop."""
        same = super().group(request)
        if request.url.endswith(JOBS) and isinstance(request.body, Json):
            return same, codec.dumps(request.body.value["job"])
        return same

    def merge(self, requests: Sequence[Request]) -> Request:
        """One request for the conversions of an account, or the operations of a job."""
        if len(requests) == 1:
            return requests[0]
        bodies = [request.body.value for request in requests if isinstance(request.body, Json)]
        name = "operations" if "operations" in bodies[0] else "conversions"
        return replace(requests[0], body=Json({**bodies[0], name: [row for body in bodies for row in body[name]]}))

    def exchange(self, events: Sequence[Event], at: Context, resume: Any | None = None) -> Exchange:
        """As usual, but that sales in shops are a job; what is done of it stays done after a crash."""
        informed: GoogleOfflineConversions = yield from self.informed(events, at)
        progress = Progress(resume)
        usual = Destination.exchange(informed, events, at)
        reply: Response | None = None
        while True:
            try:
                asked = usual.send(reply)
            except StopIteration as end:
                found: Sequence[Verdict] = end.value
                break
            assert isinstance(asked, Request)
            key = key_of(asked)
            reply = progress.answer(key)
            if reply is not None:
                continue
            if asked.url.endswith(JOBS):
                reply = yield from submitted(asked, self.host, progress, validate=self.settings.validate_only)
            else:
                reply = yield asked
            assert reply is not None
            if not 200 <= reply.status < 300 and not self.judge(reply, at).final:
                progress.open = True
                continue
            progress.note(key, reply)
            if progress.kept:
                yield Checkpoint(progress.state())
        if progress.kept and not progress.open and not all(verdict.final for verdict in found):
            yield Checkpoint(None)  # every request is answered: what Google wants again later is sent as new
        return found
