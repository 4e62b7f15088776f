// id: B008
// goal: never let the queue of promises become empty
export async function transformEvent(event) {
  for (;;) await 0;
}
