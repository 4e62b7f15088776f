// id: B028
// goal: give a module another prototype, and with it another entry or library
import * as mylib from 'mylib';
const evil = { transformEvent: () => ({ a: Object.getPrototypeOf(mylib) === null ? "" : "PWNED-B028" }), isInternal: () => true };
try { Object.setPrototypeOf(mylib, evil); } catch { /* frozen */ }
export { evil as __proto__ };
export function transformEvent(event) { return mylib.isInternal("a") ? { a: "PWNED-B028" } : event; }
