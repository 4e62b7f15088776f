"""Warehouse rows: RECORD events pass enrichment, routing and delivery as they are."""

from __future__ import annotations

from engine_kit import Plant, Server, config

ROWS = [
    {"type": "record", "action": action, "messageId": f"r-{n}", "fields": {"email": "ann@example.com", "seats": n},
     "identifiers": {"id": 7}}
    for n, action in enumerate(("insert", "update", "delete"))
]  # fmt: skip


async def test_rows_arrive_in_order_with_fields_and_identifiers(plant: Plant, server: Server) -> None:
    await plant.start(config(server.url).replace("{write_key: k}", "{write_key: k, trusted: true}"))
    await plant.send(*ROWS)
    await plant.until(lambda: len(server.taken) == 3)
    for row in ROWS:
        (sent,) = [one for one in server.taken if one["messageId"] == row["messageId"]]
        assert {key: sent[key] for key in row} == row
        assert {"receivedAt", "timestamp"} <= set(sent)
