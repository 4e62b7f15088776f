// Holds events to what was agreed: an unknown event is dropped, one that lacks something is marked, so that the tool's
// own filters can put it aside. MODE "drop" drops both.
const MODE = "mark";
const SCHEMA = {
  "Order Completed": { order_id: "text", total: "number" },
  "Product Viewed": { product_id: "text" },
  "Signed Up": {},
};

const kindOf = (value) => ({ string: "text", number: "number", boolean: "boolean", object: "object" })[typeof value];

export function transformEvent(event) {
  if (event.type !== "track") return event;
  const schema = Object.hasOwn(SCHEMA, event.event) ? SCHEMA[event.event] : null;
  if (schema === null) return;
  const violations = [];
  for (const [name, kind] of Object.entries(schema)) {
    const value = event.properties?.[name];
    if (value === undefined || value === null) violations.push(`${name} is missing`);
    else if (kindOf(value) !== kind) violations.push(`${name} is no ${kind}`);
  }
  if (violations.length === 0) return event;
  if (MODE === "drop") return;
  event.context = { ...event.context, violations };
  return event;
}
