// id: B014
// goal: take memory that the heap limit may not count
export function transformEvent(event) {
  const kept = [];
  for (;;) kept.push(new Uint8Array(64 << 20).fill(1), new SharedArrayBuffer(64 << 20));
}
