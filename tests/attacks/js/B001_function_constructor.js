// id: B001
// goal: reach a host realm through the constructor of a host function
export function transformEvent(event, metadata) {
  const made = metadata.constructor("return typeof process + typeof require + typeof std + typeof os + typeof scriptArgs")();
  if (made !== "undefined".repeat(5)) return { x: "PWNED-B001 " + made };
  return event;
}
