// id: B007
// goal: put text that is no JSON into the output
export function transformEvent(event) {
  if (typeof JSON.rawJSON === "function") return { x: JSON.rawJSON('"a"},{"y":"PWNED-B007"') };
  return event;
}
