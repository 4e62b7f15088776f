"""Makes one event per product of an order, behind the order itself: for tools that count products.

All have the order key of the order, and so arrive in order; each has a messageId of its own, the same at
every run.
"""


def transformEvent(event, metadata):
    properties = event.get("properties") or {}
    products = properties.get("products")
    if event.get("event") != "Order Completed" or not isinstance(products, list):
        return event
    order = {name: value for name, value in properties.items() if name != "products"}
    shared = {name: order[name] for name in ("order_id", "currency") if name in order}
    made = [{**event, "properties": {**order, "product_count": len(products)}}]
    for index, product in enumerate(products, 1):
        made.append({
            **event,
            "event": "Product Bought",
            "messageId": f"{event['messageId']}-{index}",
            "properties": {**shared, **product},
        })
    return made
