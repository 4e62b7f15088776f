"""What a script left as it was is routed as its bytes say, without reading them again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.deliver import dispatch
from dataplane.pipeline.numbered import restored
from transformations.base import Outputs
from turnout import codec
from turnout.protocol import Envelope

VALUES = st.sampled_from([
    None, "", "track", "Track", "PAGE", 7, True, {}, {"All": False}, {"hook": {"list": 'a"b'}}, [1], "\ud800",
])  # fmt: skip
FIELDS = st.lists(st.tuples(st.sampled_from(["type", "integrations", "userId", "other"]), VALUES), max_size=6)


def _meant(name: Any) -> tuple[Any, str, str]:
    integrations, kind, source = name
    return codec.loads(integrations or b"null"), kind, source


@settings(max_examples=300, deadline=None)
@given(fields=FIELDS, kind=st.sampled_from(["", "track", "identify"]), gap=st.sampled_from(["", " "]))
def test_an_event_that_comes_back_as_it_was_is_routed_as_its_bytes_say(
    fields: list[tuple[str, Any]], kind: str, gap: str
) -> None:
    raw = "{" + ",".join(f"{json.dumps(name)}:{gap}{json.dumps(value)}" for name, value in fields) + "}"
    envelope = Envelope(source="web", protocol="rudder", kind=kind, received_at=1, ip="203.0.113.9", refused={})
    event = restored(7, 1, raw.encode(), msgspec.msgpack.encode(envelope), b"k")
    made = dispatch._made(event, Outputs((event.enriched,), sound=True))
    assert _meant(made.name) == _meant(dispatch._name(event, event.enriched))
    assert (made.raw, made.sound, made.outputs) == (event.enriched, True, ())
    changed = dispatch._made(event, Outputs((event.enriched[:-1] + b',"type":"alias"}',)))
    assert changed.name[1] == "alias"
