"""How Salesforce is asked to forget people: their leads and contacts are found by e-mail and deleted.

Source: REST API Developer Guide, "Delete Multiple Records with sObject Collections". Salesforce keeps what is deleted
in its recycle bin for 15 days.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from destinations.salesforce import answers
from destinations.salesforce.calls import MOST, Api, Row, Write
from turnout import Request, Response, Verdict, dead, delivered, filtered
from turnout.destination import Exchange, worst
from turnout.user import User
from turnout.verdict import Outcome
from vendors.salesforce import soql

__all__ = ["FORGETS", "deletion"]

FORGETS: Final = 100
"""Users of a call: each may have a lead or two and a contact."""
UNKNOWN: Final = filtered("no e-mail address, by which Salesforce knows people")
TOO_LONG: Final = filtered(f"an e-mail address of more than {soql.LONGEST} characters is in no field of Salesforce")
OBJECTS: Final = ("Lead", "Contact")
Judge = Callable[[Response], Verdict]


def deletion(api: Api, users: Sequence[User], judge: Judge) -> Exchange:
    """A verdict per user: delivered where all that was found is deleted, or nothing was found."""
    found: list[Verdict] = [
        UNKNOWN if not one.email else TOO_LONG if len(one.email) > soql.LONGEST else delivered(200) for one in users
    ]
    asked: dict[str, list[int]] = {}
    for i, user in enumerate(users):
        if found[i].outcome is Outcome.DELIVERED:
            asked.setdefault(user.email.casefold(), []).append(i)
    records: list[tuple[str, str]] = []
    for name in OBJECTS:
        write = Write(name, {}, find=("Email",), one=False)
        for keys in soql.batches(("Email",), [(email,) for email in asked], MOST):
            request: Request | None = api.query(write, keys)
            while request is not None:
                response = yield request
                assert response is not None
                page = answers.page(response)
                if page is None:
                    for key in keys:
                        _add(found, asked[key[0]], _unread(judge(response)))
                    break
                records += [(str(row.get("Id") or ""), str(row.get("Email") or "").casefold()) for row in page[0]]
                request = api.more(page[1]) if page[1] else None
    known = [(ident, email) for ident, email in records if ident and email in asked]
    for start in range(0, len(known), MOST):
        chunk = known[start : start + MOST]
        response = yield api.collection([Row("delete", "", {}, id=ident) for ident, _ in chunk])
        assert response is not None
        whole = response.status == 200 and not response.cut
        said = answers.rows(response, len(chunk), delete=True) if whole else [_unread(judge(response))] * len(chunk)
        for (_, email), verdict in zip(chunk, said, strict=True):
            _add(found, asked[email], verdict)
    return found


def _unread(verdict: Verdict) -> Verdict:
    return dead("HTTP 200: the answer is not whole", 200) if verdict.outcome is Outcome.DELIVERED else verdict


def _add(found: list[Verdict], places: Sequence[int], verdict: Verdict) -> None:
    for i in places:
        found[i] = worst(found[i], verdict)
