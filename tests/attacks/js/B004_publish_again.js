// id: B004
// goal: publish a library of its own after loading
import * as mylib from "mylib";
export function transformEvent(event) {
  try { globalThis.__turnoutPublish("mylib", { isInternal: () => true }); return { x: "PWNED-B004" }; } catch { }
  try { mylib.isInternal = () => true; if (mylib.isInternal("a")) return { x: "PWNED-B004" }; } catch { }
  return event;
}
