// id: B006
// goal: smuggle a second output through a line break
export function transformEvent(event) {
  return { toJSON() { return "x\n{\"y\":\"PWNED-B006\"}"; } };
}
