// id: B021
// goal: name a library by a path or a property of objects
import * as found from "__proto__";
export function transformEvent(event) {
  return { x: "PWNED-B021 " + String(found) };
}
