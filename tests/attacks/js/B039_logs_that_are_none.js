// id: B039
// goal: have the driver write what the worker cannot read
export function transformEvent(event) {
  log("PWNED".slice(1));
  Array.prototype.toJSON = () => undefined;
  return event.messageId === "1" ? event : { x: { toJSON: () => "y" } };
}
