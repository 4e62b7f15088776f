// id: B020
// goal: ask the parent without end
export async function transformEvent(event) {
  for (;;) await fetchV2("http://127.0.0.1/").catch(() => 0);
}
