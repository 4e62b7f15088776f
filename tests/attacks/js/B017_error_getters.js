// id: B017
// goal: code that runs while an error is told
export function transformEvent(event) {
  throw Object.create(Error.prototype, {
    name: { get() { return { toString() { for (;;); } }; } }, message: { get() { return "PWNED-B017".slice(0, 3); } },
    stack: { get() { throw this; } },
  });
}
