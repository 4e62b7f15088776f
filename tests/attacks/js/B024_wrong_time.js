// id: B024
// goal: see the real time
export function transformEvent(event) {
  const here = new Date().getFullYear(), there = new (new Date().constructor)().getFullYear();
  const zone = new Date(0).getTimezoneOffset();
  if (here !== 2026 || there !== here || zone !== 0 || typeof performance !== "undefined") {
    return { x: "PWNED-B024", here, there, zone };
  }
  return { messageId: event.messageId };
}
