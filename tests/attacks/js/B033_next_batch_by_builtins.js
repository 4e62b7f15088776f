// id: B033
// goal: leave changed built-ins, waiting promises and a changed clock for the next batch of the same worker
const before = [JSON.stringify([1]), [3, 1].sort().join(), new Date(0).getTime(), typeof globalThis.left, Math.max(1, 2)].join("|");
export function transformEvent(event) {
  const text = before === "[1]|1,3|0|undefined|2" && event.left === undefined ? "" : "PWNED-B033 " + before;
  globalThis.left = event;
  JSON.stringify = new Proxy(JSON.stringify, { apply: () => '"PWNED-B033"' });
  Array.prototype.sort = () => ["PWNED-B033"];
  Object.defineProperty(Object.prototype, "left", { get: () => "PWNED-B033", configurable: true });
  Date.prototype.getTime = () => 7;
  Promise.prototype.then = function () { return this; };
  Math.max = () => "PWNED-B033";
  Promise.resolve().finally(() => { globalThis.left = 1; });
  new FinalizationRegistry(() => { globalThis.left = 2; }).register({}, 1);
  return { messageId: event.messageId, text };
}
