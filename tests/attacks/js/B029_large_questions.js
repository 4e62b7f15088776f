// id: B029
// goal: ask more than a message holds, so that the pool must read it all
export async function transformEvent(event) {
  const found = await Promise.all(Array.from({ length: 300 }, () => fetch("x".repeat(900000))));
  return found.every((one) => one === "ERROR") ? event : { found: "PWNED-B029" };
}
