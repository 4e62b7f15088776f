// id: B002
// goal: load a file or a host module by a dynamic import
export async function transformEvent(event) {
  for (const name of ["std", "os", "fs", "node:fs", "/etc/passwd", "file:///etc/passwd", "./prelude.js", "qjs:std"]) {
    try { const found = await import(name); return { x: "PWNED-B002 " + name + Object.keys(found) }; } catch { }
  }
  return event;
}
