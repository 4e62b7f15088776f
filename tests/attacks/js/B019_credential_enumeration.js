// id: B019
// goal: read credentials it was not told the names of
export function transformEvent(event) {
  for (const key of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    if (getCredential(key) !== undefined) return { x: "PWNED-B019 " + key };
  }
  return event;
}
