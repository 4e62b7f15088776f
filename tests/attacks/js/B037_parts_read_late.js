// id: B037
// goal: change what the driver's own code uses before the part that uses it is read
const real = Object.getOwnPropertyDescriptor(globalThis, "Date");
const seen = [];
const spy = (name, at, key) => {
  const before = at[key];
  if (typeof before !== "function") return;
  at[key] = function (...given) {
    seen.push(name, this, ...given);
    return Reflect.apply(before, this, given);
  };
};
const { defineProperty } = Object;
for (const key of ["defineProperty", "freeze", "assign", "hasOwn", "getOwnPropertyDescriptor"]) spy(key, Object, key);
for (const key of ["call", "bind", "apply"]) spy(key, Function.prototype, key);
for (const key of ["join", "push", "slice", "map", "concat"]) spy(key, Array.prototype, key);
for (const key of ["repeat", "slice", "concat", "charCodeAt"]) spy(key, String.prototype, key);
spy("eval", globalThis, "eval");
spy("parse", JSON, "parse");
spy("stringify", JSON, "stringify");
for (const key of ["state", "kit", "parts", "texts", "verbs", "moment", "console", "reach", "outcome", "RealDate", "credentials"]) {
  defineProperty(Object.prototype, key, {
    configurable: true,
    get() { seen.push("get " + key, this); return undefined; },
    set(value) { seen.push("set " + key, this, value); defineProperty(this, key, { value, writable: true, configurable: true, enumerable: true }); },
  });
}
export async function transformEvent(event) {
  const now = Date.now(), again = new Date().getTime();
  log("x"); getCredential("a"); Math.random();
  await fetch("https://a.example/").catch(() => {});
  await geolocation("::1").catch(() => {});
  const kinds = seen.filter((one) => typeof one === "object" && one !== null && ("RealDate" in one || "libraries" in one));
  for (const kit of kinds) if (kit.RealDate && new kit.RealDate().getTime() !== now) return { x: "PWNED-B037 the clock" };
  const late = real && real.value ? new real.value().getTime() : now;
  if (late !== now || again !== now) return { x: "PWNED-B037 the clock" };
  return { messageId: event.messageId, n: seen.length, kits: kinds.length };
}
