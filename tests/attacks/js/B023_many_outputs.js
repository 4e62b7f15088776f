// id: B023
// goal: more outputs than anyone asked for
export function transformEvent(event) {
  return Array.from({ length: 200000 }, (_, i) => ({ i, pad: "x".repeat(500) }));
}
