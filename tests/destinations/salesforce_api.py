"""An org of Salesforce as strict as the real one: logins, names of fields, SOQL, upserts and collections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from turnout.testing import Received, Tool

ROOT = "/services/data/v59.0"
HOST = "https://crew.my.salesforce.com"
SESSION = "00D-session-of-the-crew"
FAULT = (
    '<?xml version="1.0"?><soapenv:Envelope><soapenv:Body><soapenv:Fault><faultcode>sf:{code}</faultcode>'
    "<detail><sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode></sf:LoginFault></detail>"
    "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)
GRANTED = (
    '<?xml version="1.0"?><soapenv:Envelope><soapenv:Body><loginResponse><result>'
    "<serverUrl>{host}/services/Soap/u/59.0/00D5e</serverUrl><sessionId>{session}</sessionId>"
    "</result></loginResponse></soapenv:Body></soapenv:Envelope>"
)
PERSON = {"FirstName": 40, "LastName": 80, "Email": 80, "Phone": 40, "Title": 128, "Salutation": 40}
PLACE = ("City", "Country", "PostalCode", "State", "Street")
SCHEMA: dict[str, dict[str, int]] = {
    "Lead": {
        **PERSON, "Company": 255, "LeadSource": 255, "Website": 255, "Rating": 255, "Industry": 255,
        "NumberOfEmployees": 0, **dict.fromkeys(PLACE, 255), "plan_type__c": 50, "berth__c": 10,
    },
    "Contact": {**PERSON, **{f"Mailing{one}": 255 for one in PLACE}, "plan_type__c": 50},
    "Account": {"Name": 255, "Phone": 40, "Website": 255, "Club__c": 40},
    "Boat__c": {"Name": 80, "Hull__c": 40, "Length__c": 0, "Harbour__c": 40},
}
"""Objects, their fields, and how long a text may be; 0 is a number."""
REQUIRED = {"Lead": ("LastName", "Company"), "Contact": ("LastName",), "Account": ("Name",), "Boat__c": ()}
EXTERNAL = {("Boat__c", "Hull__c"), ("Account", "Club__c")}
TOKEN = re.compile(r"\s*(?:('(?:[^'\\\n]|\\.)*')|([A-Za-z_]\w*)|(-?\d+(?:\.\d+)?)|([(),=]))")
UNESCAPE = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}


class Org(Tool):
    """`records` is what it holds, by object and id. `codes` are errors it gives to records with an e-mail or hull."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**chosen)
        self.records: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in SCHEMA}
        self.codes: dict[str, str] = {}
        self.session = SESSION
        self.home = HOST
        self.logins = self.made = 0

    def put(self, name: str, **fields: Any) -> str:
        """A record that is there already; its id."""
        self.made += 1
        ident = f"00Q{self.made:015d}"
        self.records[name][ident] = {"Id": ident, **fields}
        return ident

    def answered(self, asked: Received) -> tuple[int, Any]:
        if asked.path == "/services/Soap/u/59.0":
            return self._soap(asked)
        if asked.path == "/services/oauth2/token":
            return self._oauth({name: values[0] for name, values in parse_qs(asked.body.decode()).items()})
        if asked.headers.get("authorization") != f"Bearer {self.session}":
            return error(401, "INVALID_SESSION_ID")
        if not asked.path.startswith(ROOT + "/"):
            return error(404, "NOT_FOUND")
        parts = asked.path.removeprefix(ROOT + "/").rstrip("/").split("/")
        if parts[0] == "query":
            return self._query(asked.query.get("q", ""))
        if parts[0] == "parameterizedSearch":
            return self._search(asked.query)
        if parts == ["limits"]:
            return 200, {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}, "Odd": {"Max": None}}
        if parts[:2] == ["composite", "sobjects"]:
            return self._collection(asked, parts[2:])
        if parts[0] == "sobjects" and parts[-1] == "describe":
            return self._describe(parts[1])
        return self._single(asked, parts[1:]) if parts[0] == "sobjects" else error(404, "NOT_FOUND")

    # Logging in

    def _soap(self, asked: Received) -> tuple[int, Any]:
        body = asked.body.decode()
        right = "<username>mate@crew.example.com</username><password>a&lt;b&amp;cT0K</password>" in body
        if asked.headers.get("soapaction") != "login" or not asked.headers["content-type"].startswith("text/xml"):
            return 500, FAULT.format(code="UNKNOWN_EXCEPTION")
        if not right:
            return 500, FAULT.format(code="INVALID_LOGIN")
        self.logins += 1
        return 200, GRANTED.format(host=self.home, session=self.session)

    def _oauth(self, form: Mapping[str, str]) -> tuple[int, Any]:
        right = {
            "client_credentials": form.get("client_secret") == "s-9",
            "refresh_token": form.get("refresh_token") == "r-9",
            "urn:ietf:params:oauth:grant-type:jwt-bearer": form.get("assertion", "").count(".") == 2,
        }.get(form.get("grant_type", ""))
        if right is None:
            return 400, {"error": "unsupported_grant_type"}
        if not right:
            return 400, {"error": "invalid_grant", "error_description": "authentication failure"}
        self.logins += 1
        return 200, {"access_token": self.session, "instance_url": self.home, "token_type": "Bearer"}

    # Looking up

    def _query(self, text: str) -> tuple[int, Any]:
        try:
            name, wanted, rows = self._parsed(text)
        except (ValueError, StopIteration, RuntimeError) as problem:
            return error(400, str(problem) if str(problem).isupper() else "MALFORMED_QUERY")
        found = [
            {"attributes": {"type": name}, **{one: self._held(record, one) for one in wanted}}
            for record in self.records[name].values() if any(self._meets(record, row) for row in rows)
        ]
        return 200, {"totalSize": len(found), "done": True, "records": found}

    def _held(self, record: Mapping[str, Any], name: str) -> Any:
        return record.get(name, False if name == "IsConverted" else None)

    def _meets(self, record: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        return all(str(record.get(name, "")).casefold() == str(value).casefold() for name, value in row.items())

    def _parsed(self, text: str) -> tuple[str, list[str], list[dict[str, Any]]]:
        """SELECT a,b FROM o WHERE x IN (…) | (x = … AND y = …) OR … ORDER BY …; anything else is refused."""
        words = tokens(text)
        take(words, "SELECT")
        wanted = [next(words)]
        while (word := next(words)) == ",":
            wanted.append(next(words))
        name = next(words) if word == "FROM" else ""
        if name not in SCHEMA:
            raise ValueError("INVALID_TYPE")
        take(words, "WHERE")
        rows: list[dict[str, Any]] = []
        first = next(words)
        if first == "(":
            while True:
                rows.append(dict(pairs(words)))
                if (word := next(words)) != "OR":
                    break
                take(words, "(")
        else:
            take(words, "IN", "(")
            while True:
                rows.append({first: value_of(next(words))})
                if (word := next(words)) == ")":
                    break
                if word != ",":
                    raise ValueError
            word = next(words)
        if word != "ORDER" or [*words] != ["BY", "CreatedDate", ",", "Id"]:
            raise ValueError
        known = {*SCHEMA[name], "Id", *(("IsConverted", "ConvertedContactId") if name == "Lead" else ())}
        if not {*wanted, *(one for row in rows for one in row)} <= known:
            raise ValueError("INVALID_FIELD")
        for row in rows:
            for one, value in row.items():
                if SCHEMA[name].get(one, 1) and not isinstance(value, str):
                    raise ValueError("INVALID_FIELD")
        return name, wanted, rows

    def _search(self, query: Mapping[str, str]) -> tuple[int, Any]:
        name = next((one for one in SCHEMA if one.lower() == query.get("sobject", "").lower()), "")
        if not name or not query.get("q"):
            return error(400, "INVALID_TYPE" if not name else "INVALID_SEARCH")
        wanted = query[f"{query['sobject']}.fields"].split(",")
        word = re.compile(wildcards(query["q"]), re.IGNORECASE)
        held = self.records[name].values()
        found = [
            {"attributes": {"type": name}, **{"Id" if one == "id" else one: record.get("Id" if one == "id" else one)
                                              for one in wanted}}
            for record in held if any(word.search(str(value)) for value in record.values())
        ]
        return 200, {"searchRecords": found}

    # Writing

    def _single(self, asked: Received, parts: list[str]) -> tuple[int, Any]:
        name, method = parts[0], asked.method
        if asked.query.get("_HttpMethod") and method == "POST":
            method = asked.query["_HttpMethod"]
        if name not in SCHEMA:
            return error(404, "NOT_FOUND")
        body = asked.json() if asked.body else {}
        if len(parts) == 3:
            if (name, parts[1]) not in EXTERNAL or parts[1] in body:
                return error(400, "INVALID_FIELD")
            there = [key for key, one in self.records[name].items() if str(one.get(parts[1])) == parts[2]]
            if method == "DELETE":
                if not there:
                    return error(404, "NOT_FOUND")
                del self.records[name][there[0]]
                return 204, b""
            made, problem = self._save(name, there[0] if there else "", {**body, parts[1]: parts[2]})
            if problem:
                return 400, [problem]
            return 200 if there else 201, {"id": made, "success": True, "errors": []}
        ident = parts[1] if len(parts) == 2 else ""
        if method == "DELETE":
            return (204, b"") if self.records[name].pop(ident, None) else error(404, "NOT_FOUND")
        if (method, bool(ident)) not in (("POST", False), ("PATCH", True)):
            return error(405, "METHOD_NOT_ALLOWED")
        if ident and ident not in self.records[name]:
            return error(404, "NOT_FOUND")
        made, problem = self._save(name, ident, body)
        if problem:
            return 400, [problem]
        return (204, b"") if ident else (201, {"id": made, "success": True, "errors": []})

    def _collection(self, asked: Received, parts: list[str]) -> tuple[int, Any]:
        if asked.method == "DELETE":
            idents = asked.query["ids"].split(",")
            return (200, [self._deleted(one) for one in idents]) if len(idents) <= 200 else error(400, "LIMIT_EXCEEDED")
        body = asked.json()
        records = body["records"]
        if set(body) != {"allOrNone", "records"} or body["allOrNone"] is not False or not 0 < len(records) <= 200:
            return error(400, "INVALID_ARGUMENT")
        for one in records:  # a field that the object has not spoils the call
            name = one["attributes"]["type"]
            if not {*one} - {"attributes", "id"} <= {*SCHEMA.get(name, {})}:
                return error(400, "INVALID_FIELD")
        seen = [one.get("id") or one.get(parts[1] if parts else "") for one in records]
        twice = {one for one in seen if one and seen.count(one) > 1}
        return 200, [self._row(asked.method, one, parts, twice) for one in records]

    def _row(self, method: str, one: dict[str, Any], parts: list[str], twice: set[Any]) -> dict[str, Any]:
        name = one["attributes"]["type"]
        fields = {key: value for key, value in one.items() if key not in ("attributes", "id")}
        ident = one.get("id", "")
        if parts:
            if parts[0] != name or tuple(parts) not in EXTERNAL or ident:
                return refused("INVALID_FIELD")
            value = fields[parts[1]]
            if value in twice:
                return refused("DUPLICATE_VALUE")
            ident = next((key for key, held in self.records[name].items() if held.get(parts[1]) == value), "")
        elif bool(ident) is (method == "POST") or ident in twice:
            return refused("MISSING_ARGUMENT" if not ident else "DUPLICATE_VALUE")
        elif ident and ident not in self.records[name]:
            return refused("ENTITY_IS_DELETED")
        created = not ident
        made, problem = self._save(name, ident, fields)
        if problem:
            return refused(problem["errorCode"], problem.get("fields", []))
        return {"id": made, "success": True, "errors": [], **({"created": created} if parts else {})}

    def _deleted(self, ident: str) -> dict[str, Any]:
        for held in self.records.values():
            if held.pop(ident, None):
                return {"id": ident, "success": True, "errors": []}
        return refused("ENTITY_IS_DELETED")

    def _save(self, name: str, ident: str, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The id, or what is wrong with it."""
        for field, value in fields.items():
            if field not in SCHEMA[name]:
                return "", {"errorCode": "INVALID_FIELD", "message": f"No such column '{field}'"}
            most = SCHEMA[name][field]
            if isinstance(value, dict | list) or (not most and isinstance(value, str)):
                return "", {"errorCode": "JSON_PARSER_ERROR", "message": "wrong type"}
            if most and len(str(value)) > most:
                return "", {"errorCode": "STRING_TOO_LONG", "message": "too long", "fields": [field]}
        if "@" not in fields.get("Email", "@"):
            return "", {"errorCode": "INVALID_EMAIL_ADDRESS", "message": "e-mail", "fields": ["Email"]}
        code = self.codes.get(str(fields.get("Email") or fields.get("Hull__c") or ""))
        if code:
            return "", {"errorCode": code, "message": "as told", "fields": []}
        missing = [one for one in REQUIRED[name] if not {**self.records[name].get(ident, {}), **fields}.get(one)]
        if missing:
            return "", {"errorCode": "REQUIRED_FIELD_MISSING", "message": "missing", "fields": missing}
        if ident and self.records[name][ident].get("IsConverted"):
            return "", {"errorCode": "CANNOT_UPDATE_CONVERTED_LEAD", "message": "converted", "fields": []}
        ident = ident or self.put(name)
        self.records[name][ident] |= fields
        return ident, {}

    def _describe(self, name: str) -> tuple[int, Any]:
        if name not in SCHEMA:
            return error(404, "NOT_FOUND")
        fields: list[dict[str, Any]] = [{"name": "Id", "type": "id", "length": 18, "idLookup": True}]
        fields += [
            {"name": one, "type": "string" if most else "double", "length": most, "createable": True,
             "updateable": True, "externalId": (name, one) in EXTERNAL, "nillable": one not in REQUIRED[name],
             "picklistValues": [{"value": "Hot", "active": True}] if one == "Rating" else []}
            for one, most in SCHEMA[name].items()
        ]  # fmt: skip
        return 200, {"name": name, "createable": True, "updateable": True, "fields": fields}


def error(status: int, code: str) -> tuple[int, list[dict[str, str]]]:
    return status, [{"errorCode": code, "message": "as the org says"}]


def refused(code: str, fields: Any = ()) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": "as the org says", "fields": [*fields]}]}


def tokens(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            raise ValueError("MALFORMED_QUERY")
        yield found[0].strip()
        place = found.end()


def take(words: Iterator[str], *wanted: str) -> None:
    for one in wanted:
        if next(words) != one:
            raise ValueError


def pairs(words: Iterator[str]) -> Iterator[tuple[str, Any]]:
    while True:
        name = next(words)
        take(words, "=")
        yield name, value_of(next(words))
        if (word := next(words)) == ")":
            return
        if word != "AND":
            raise ValueError


def value_of(word: str) -> Any:
    """What a literal of SOQL says."""
    if word in ("TRUE", "FALSE"):
        return word == "TRUE"
    if not word.startswith("'"):
        return float(word) if "." in word else int(word)
    made, place, inner = "", 0, word[1:-1]
    while place < len(inner):
        if inner[place] != "\\":
            made, place = made + inner[place], place + 1
        elif inner[place + 1] == "u":
            made, place = made + chr(int(inner[place + 2 : place + 6], 16)), place + 6
        else:
            made, place = made + UNESCAPE[inner[place + 1]], place + 2
    return made


def wildcards(text: str) -> str:
    """A search of the index as a pattern: * and ? match anything, but behind a backslash."""
    made, place = "", 0
    while place < len(text):
        if text[place] == "\\" and place + 1 < len(text):
            made, place = made + re.escape(text[place + 1]), place + 2
        else:
            made, place = made + {"*": ".*", "?": "."}.get(text[place], re.escape(text[place])), place + 1
    return made
