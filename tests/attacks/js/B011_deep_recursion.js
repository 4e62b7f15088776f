// id: B011
// goal: overflow the stack of the engine
export function transformEvent(event) {
  const deep = (n) => [n].map((m) => deep(m + 1));
  return deep(0);
}
