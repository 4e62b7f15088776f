"""Events as Parquet: the columns that people filter by, and the whole event as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from turnout import codec
from turnout.errors import Refused
from turnout.values import moment, text

__all__ = ["packed"]

_TEXTS = {
    "message_id": "messageId", "type": "type", "event": "event", "user_id": "userId", "anonymous_id": "anonymousId",
    "group_id": "groupId",
}
_TIMES = {"timestamp": "timestamp", "received_at": "receivedAt"}


def packed(bodies: Sequence[bytes]) -> bytes:
    """One row per event; every object has the same columns. Texts that are no JSON have only their `message`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    events = [_read(body) for body in bodies]
    time = pa.timestamp("us", tz="UTC")
    columns = {name: pa.array([_text(one.get(key)) for one in events], pa.string()) for name, key in _TEXTS.items()}
    columns |= {name: pa.array([_time(one.get(key)) for one in events], time) for name, key in _TIMES.items()}
    columns["message"] = pa.array([body.decode("utf-8", "replace") for body in bodies], pa.string())
    out = BytesIO()
    pq.write_table(pa.table(columns), out, compression="zstd")
    return out.getvalue()


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        found = codec.loads(body)
    except Refused:
        return {}
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str | None:
    made = text(value)
    return None if made is None else made.encode("utf-8", "replace").decode()


def _time(value: Any) -> Any:
    return moment(value) if isinstance(value, str) else None
