// Makes one event per product of an order, behind the order itself: for tools that count products. All have the order
// key of the order, and so arrive in order; each has a messageId of its own, the same at every run.
export function transformEvent(event) {
  const products = event.properties?.products;
  if (event.event !== "Order Completed" || !Array.isArray(products)) return event;
  const { products: _, ...order } = event.properties;
  const bought = products.map((product, index) => ({
    ...event,
    event: "Product Bought",
    messageId: `${event.messageId}-${index + 1}`,
    properties: { order_id: order.order_id, currency: order.currency, ...product },
  }));
  return [{ ...event, properties: { ...order, product_count: products.length } }, ...bought];
}
