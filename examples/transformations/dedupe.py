"""Of the events of a batch with one order number and name, only the first goes on.

Turnout drops an event with a messageId it has seen by itself; this is for events that were sent twice with
two messageIds. A batch is what comes together (200 events at most): what comes later is not compared.
"""


def transformBatch(events, metadata):
    seen = set()
    kept = []
    for event in events:
        order = (event.get("properties") or {}).get("order_id")
        key = (event.get("event"), str(order))
        if order is not None and key in seen:
            continue
        seen.add(key)
        kept.append(event)
    return kept
