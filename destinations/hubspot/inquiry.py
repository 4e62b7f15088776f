"""The questions of an exchange: which properties there are, which are unique, which records exist."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from destinations.hubspot.known import Known, next_page, pages, read_search, search, types_of, unique_of
from destinations.hubspot.rows import CONTACTS, Target
from turnout import Json, Outcome, Request, Response, Verdict, dead

__all__ = ["API", "Inquiry", "stops"]

API: Final = "https://api.hubapi.com"
TYPES: Final = f"{API}/properties/v1/contacts/properties"
PAGES: Final = 100
"""Pages of a search that are read, of 100 records each: HubSpot itself ends a search at 10,000."""
Asking = Generator[Request, Response | None, None]
Targets = Mapping[Target, Sequence[int]]
"""Records to look up, and the places of the events that are about each."""


class _Ask(Protocol):
    def __call__(self, method: str, url: str, body: Json | None = None, events: Sequence[int] = ()) -> Request:
        """A request with the account's key."""


class Inquiry:
    """Fills `known`. `ask` makes a request, `trouble` says why an answer tells nothing (None where it does)."""

    def __init__(self, ask: _Ask, trouble: Callable[[Response], Verdict | None]) -> None:
        self.known = Known()
        self._ask, self._trouble = ask, trouble

    def learn(self, places: Sequence[int], targets: Targets) -> Asking:
        """Everything that the events at `places` need; the first question also tells whether the key is good."""
        response = yield self._ask("GET", TYPES, events=places)
        assert response is not None
        known, unique = self.known, None
        if response.status not in (404, 410):  # HubSpot may end the legacy address: the newer one has types, too
            known.refused = self._trouble(response)
            if known.refused is not None:
                return
            said = response.json()
            known.types, unique = types_of(said), unique_of(said)
        kinds = dict.fromkeys(target.kind for target in targets)
        if known.types is None:
            kinds.setdefault(CONTACTS)
        for kind in kinds:
            own = {target: at for target, at in targets.items() if target.kind == kind}
            if kind == CONTACTS and unique is not None:
                known.unique[kind] = unique
            else:
                yield from self._unique(kind, _places(own.values()) or places)
            if kind not in known.trouble:
                yield from self._records(kind, own)
            if known.refused is not None:
                return

    def _unique(self, kind: str, places: Sequence[int]) -> Asking:
        response = yield self._ask("GET", f"{API}/crm/v3/properties/{kind}", events=places)
        assert response is not None
        trouble = self._trouble(response)
        if trouble is not None:
            self._note([kind], trouble)
            return
        said: Any = response.json()
        self.known.unique[kind] = unique_of(said) or frozenset()
        if kind == CONTACTS and self.known.types is None:
            self.known.types = types_of(said)

    def _records(self, kind: str, targets: Targets) -> Asking:
        fields: dict[str, list[str]] = {}
        for target in targets:
            if target.field not in self.known.unique[kind]:
                fields.setdefault(target.field, []).append(target.value)
        for field, values in fields.items():
            for page in pages(field, values):
                keys = [Target(kind, field, value) for value in page]
                yield from self._search(keys, _places(targets[key] for key in keys))
                if self.known.refused is not None:
                    return

    def _search(self, keys: Sequence[Target], places: Sequence[int]) -> Asking:
        kind, field = keys[0].kind, keys[0].field
        values, after = [key.value for key in keys], ""
        for _ in range(PAGES):
            body = Json(search(field, values, after))
            response = yield self._ask("POST", f"{API}/crm/v3/objects/{kind}/search", body, places)
            assert response is not None
            trouble = self._trouble(response)
            if trouble is not None:
                self._note(keys, trouble)
                return
            said: Any = response.json()
            read_search(said, kind, field, values, self.known.records)
            following = next_page(said)
            if not following or following == after:
                return
            after = following
        self._note(keys, dead(f"more than {PAGES} pages of records of {kind} have what this event is found by"))

    def _note(self, what: Iterable[str | Target], trouble: Verdict) -> None:
        """Remember what could not be asked; after a pause or a 429 nothing more is."""
        self.known.trouble |= dict.fromkeys(what, trouble)
        if stops(trouble):
            self.known.refused = trouble


def stops(trouble: Verdict) -> bool:
    """Whether HubSpot refuses everybody for now."""
    return trouble.outcome is Outcome.PAUSE or (trouble.outcome is Outcome.RETRY and trouble.status == 429)


def _places(of: Iterable[Sequence[int]]) -> list[int]:
    return sorted(i for one in of for i in one)
