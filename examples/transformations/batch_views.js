// Puts the product views of one user that come together into one event: for tools that are paid by event. It goes out
// as the user's last view, with all products; other events pass as they are. How many come together depends on traffic:
// the sum over all events is always right.
export function transformBatch(events) {
  const last = new Map(), seen = new Map();
  for (const event of events) {
    if (event.event !== "Product Viewed" || !event.userId) continue;
    last.set(event.userId, event);
    seen.set(event.userId, [...(seen.get(event.userId) ?? []), event.properties?.product_id ?? null]);
  }
  return events.flatMap((event) => {
    if (event.event !== "Product Viewed" || !event.userId) return [event];
    if (last.get(event.userId) !== event) return [];
    const product_ids = seen.get(event.userId);
    return [{ ...event, event: "Products Viewed", properties: { product_ids, count: product_ids.length } }];
  });
}
