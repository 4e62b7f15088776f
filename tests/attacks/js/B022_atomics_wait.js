// id: B022
// goal: block the worker without using the processor
export function transformEvent(event) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0);
  return event;
}
