// id: B009
// goal: hang in a native loop over an iterator
export function transformEvent(event) {
  return Array.from({ length: Infinity, [Symbol.iterator]: function* () { for (;;) yield 1; } });
}
