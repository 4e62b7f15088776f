// id: B018
// goal: see other events' results through Promise.prototype.then
const seen = [];
const real = Promise.prototype.then;
Promise.prototype.then = function (good, bad) { seen.push(String(good)); return real.call(this, good, bad); };
export async function transformEvent(event) {
  if (seen.some((text) => text.includes("native") === false && text.includes("pending"))) return { x: "PWNED-B018" };
  return event;
}
