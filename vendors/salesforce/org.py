"""An org for what may wait: a check, an action, an extract. On simple-salesforce (`turnout[salesforce]`).

Adapters need none of it: their requests leave through the engine. It blocks: call it from a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from turnout import codec
from turnout.auth import Bearer, Login, OAuth2, Token, token_of, token_request
from turnout.clock import Clock
from turnout.errors import Fixable, Transient
from turnout.request import Response, packed
from turnout.verdict import Outcome, Verdict
from vendors.salesforce import soql
from vendors.salesforce.errors import code_of
from vendors.salesforce.login import Account

if TYPE_CHECKING:
    import requests
    from simple_salesforce.api import Salesforce

__all__ = ["Described", "FieldOf", "Limit", "Org"]

T = TypeVar("T")
TIMEOUT = 30.0
"""Seconds that a call may take."""


@dataclass(frozen=True, slots=True)
class FieldOf:
    """A field of an object: what it holds (`string`, `double`, `picklist`, …) and what this user may do with it.

    `length` is in characters, 0 where it is no text; `key` says that records can be written by it.
    """

    name: str
    type: str
    length: int
    createable: bool
    updateable: bool
    nillable: bool
    unique: bool
    key: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """An object as the user who logged in may see it; `fields` by name."""

    name: str
    createable: bool
    updateable: bool
    fields: Mapping[str, FieldOf]


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of something an org may use, mostly in 24 hours, and how much is left."""

    most: int
    left: int


class Org:
    """One org, logged in at the first call, and again where its session ends.

    Raises `Fixable` where the package is missing or Salesforce refuses, `Transient` where it may help to try later.
    """

    def __init__(
        self, account: Account, clock: Clock, *, version: str = "59.0", session: requests.Session | None = None
    ) -> None:
        try:
            import requests
            import simple_salesforce  # noqa: F401 -- to say at once that it is missing
        except ModuleNotFoundError as error:
            raise Fixable("this needs the package simple-salesforce: pip install 'turnout[salesforce]'") from error
        self._account, self._clock, self._version = account, clock, version
        self._session = session or requests.Session()
        self._own = session is None
        # The library's calls have no timeout of their own, and none can be given to it.
        vars(self._session)["request"] = partial(self._session.request, timeout=TIMEOUT)
        self._connected: Salesforce | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections, where the session is not the caller's."""
        if self._own:
            self._session.close()

    def connect(self) -> Salesforce:
        """simple-salesforce, logged in: for what it does beyond this (bulk jobs, queries)."""
        if self._connected is None:
            from simple_salesforce.api import Salesforce

            token = self._token(self._clock.now())
            self._connected = Salesforce(
                instance_url=token.base, session_id=token.value, version=self._version, session=self._session
            )
        return self._connected

    def call(self, use: Callable[[Salesforce], T]) -> T:
        """What `use` makes of the org; called once more where the session ended, with a new one."""
        from simple_salesforce.exceptions import SalesforceError, SalesforceExpiredSession

        from_before = self._connected is not None
        org = self.connect()
        try:
            try:
                return use(org)
            except SalesforceExpiredSession:
                if not from_before:
                    raise
                self._connected = None
                return use(self.connect())
        except SalesforceError as error:
            raise _refused(error) from error
        except OSError as error:  # every error of requests is one
            raise Transient(f"no answer of Salesforce ({type(error).__name__})") from error

    def describe(self, name: str) -> Described:
        """An object and its fields."""
        from simple_salesforce.api import SFType

        def asked(org: Salesforce) -> Any:
            version = org.sf_version
            kind = SFType(soql.name(name), org.session_id, org.sf_instance, version, session=self._session)
            return kind.describe()

        said = self.call(asked)
        return Described(
            said["name"], bool(said.get("createable")), bool(said.get("updateable")),
            {one["name"]: _field(one) for one in said["fields"]},
        )

    def limits(self) -> Mapping[str, Limit]:
        """What the org may use, by Salesforce's names: `DailyApiRequests`, `DataStorageMB`, …"""
        said = self.call(lambda org: org.limits())
        return {
            name: Limit(one["Max"], one["Remaining"]) for name, one in said.items()
            if isinstance(one.get("Max"), int) and isinstance(one.get("Remaining"), int)
        }

    def _token(self, now: datetime) -> Token:
        auth = self._account.auth
        if not isinstance(auth, OAuth2 | Login):
            assert isinstance(auth, Bearer)  # an account has no other kind
            return Token(auth.token, base=self._account.base)
        request = token_request(auth, now)
        body, kind = packed(request)
        try:
            answer = self._session.request(
                request.method, request.url, data=body, headers={**request.headers, "Content-Type": kind},
                allow_redirects=False,
            )
            response = Response(answer.status_code, dict(answer.headers), answer.content)
        except OSError as error:
            response = Response(0, error=type(error).__name__)
        found = auth.token(response, now) if isinstance(auth, Login) else token_of(response, now, auth.base)
        if isinstance(found, Verdict):
            raise Transient(found.reason) if found.outcome is Outcome.RETRY else Fixable(found.reason)
        return found


def _field(said: Mapping[str, Any]) -> FieldOf:
    listed = said.get("picklistValues") or []
    return FieldOf(
        said["name"], said["type"], int(said.get("length") or 0), bool(said.get("createable")),
        bool(said.get("updateable")), bool(said.get("nillable")), bool(said.get("unique")),
        bool(said.get("externalId") or said.get("idLookup")),
        tuple(one["value"] for one in listed if one.get("active")),
    )  # fmt: skip


def _refused(error: Any) -> Exception:
    """Status and code of an answer, and none of its text."""
    content = error.content if isinstance(error.content, list | dict) else None
    code, _, _ = code_of(Response(error.status, {}, codec.dumps(content)))
    told = f"Salesforce answered HTTP {error.status}{' ' + code if code else ''}"
    later = error.status in (408, 425, 429) or error.status >= 500 or code == "REQUEST_LIMIT_EXCEEDED"
    return Transient(told) if later else Fixable(told)
