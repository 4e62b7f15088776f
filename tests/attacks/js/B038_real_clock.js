// id: B038
// goal: find the machine's clock behind the event's
export async function transformEvent(event) {
  const told = Date.now(), found = [];
  const ways = {
    constructor: () => new (Object.getPrototypeOf(new Date()).constructor)().getTime(),
    parsed: () => new (new Date(0).constructor)().getTime(),
    called: () => Date.parse(Date()),
    reflected: () => Reflect.construct(Date, []).getTime(),
    derived: () => new (class extends Date {})().getTime(),
    bound: () => new (Date.bind(null))().getTime(),
    evaluated: () => (0, eval)("new Date().getTime()"),
    made: () => Function("return Date.now()")(),
    generator: () => Object.getPrototypeOf(function* () {}).constructor("yield Date.now()")().next().value,
    descriptor: () => { const one = Object.getOwnPropertyDescriptor(globalThis, "Date"); return (one.value ?? one.get()).now(); },
    deleted: () => { const kept = Date; try { delete globalThis.Date; return typeof Date === "undefined" ? told : Date.now(); } finally { globalThis.Date = kept; } },
    file: () => Reflect.construct(Object, [], Date).getTime?.() ?? told,
    species: () => (Date[Symbol.species] ? new Date[Symbol.species]().getTime() : told),
    performance: () => (typeof performance === "undefined" ? told : 0),
    wait: () => { try { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10); return 0; } catch { return told; } },
    stack: () => { for (const f of (Error.prepareStackTrace = (_, x) => x, new Error().stack)) { const g = f.getFunction?.(); if (g?.name === "Date" && g !== Date) return 0; } return told; },
  };
  for (const [name, way] of Object.entries(ways)) {
    let said;
    try { said = way(); } catch { continue; }
    if (Math.abs(said - told) > 1000) found.push("PWNED-B038 " + name + " " + said);
  }
  return { messageId: event.messageId, found };
}
