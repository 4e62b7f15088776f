// id: B030
// goal: make everything an instance of Promise, so that the run never ends
Object.defineProperty(Promise, Symbol.hasInstance, { value: () => true });
Promise.prototype.then = function (f) { f("PWNED-B030"); return this; };
export function transformEvent(event) { return event; }
