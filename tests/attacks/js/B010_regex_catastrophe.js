// id: B010
// goal: a pattern whose time grows without bound
export function transformEvent(event) {
  return { x: /^(?:(?:a+)+)+$/.test("a".repeat(60) + "!") };
}
