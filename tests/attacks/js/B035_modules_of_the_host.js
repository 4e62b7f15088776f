// id: B035
// goal: import what the engine or the machine has
export async function transformEvent(event) {
  const found = [];
  for (const name of ["os", "std", "qjs:os", "qjs:std", "bjson", "/etc/passwd", "file:///etc/passwd", "../run.py", "mylib", ""]) {
    for (const load of [(x) => import(x), (x) => eval(`import(${JSON.stringify(x)})`), (x) => Function("x", "return import(x)")(x)]) {
      try { await load(name); found.push("PWNED-B035 " + name); } catch (error) { found.push(error instanceof Error); }
    }
  }
  for (const name of ["std", "os", "scriptArgs", "print", "load", "loadScript", "gc", "performance", "WebAssembly", "Worker"]) {
    if (typeof globalThis[name] !== "undefined") found.push("PWNED-B035 " + name);
  }
  return { found };
}
