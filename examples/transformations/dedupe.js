// Of the events of a batch with one order number and name, only the first goes on. Turnout drops an event with a
// messageId it has seen by itself; this is for events that were sent twice with two messageIds. A batch is what comes
// together (200 events at most): what comes later is not compared.
export function transformBatch(events) {
  const seen = new Set();
  return events.filter((event) => {
    const order = event.properties?.order_id;
    if (order === undefined || order === null) return true;
    const key = `${event.event}\0${order}`;
    return seen.has(key) ? false : seen.add(key);
  });
}
