// id: B013
// goal: fill the memory by doubling a string
export function transformEvent(event) {
  let text = "x";
  for (;;) text += text;
}
