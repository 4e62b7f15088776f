// id: B016
// goal: fill the log
export function transformEvent(event) {
  for (let i = 0; i < 1e6; i++) log("x".repeat(1000), { i });
  return event;
}
