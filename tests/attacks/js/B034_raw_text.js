// id: B034
// goal: hand over JSON that the pipeline cannot read: halves of characters, huge numbers, deep nesting
export function transformEvent(event) {
  let deep = {};
  for (let i = 0; i < 900; i++) deep = { deep };
  return [
    { messageId: event.messageId, half: JSON.rawJSON('"\\uD800"') },
    { messageId: event.messageId, large: JSON.rawJSON("9".repeat(9999)), small: JSON.rawJSON("1e-9999") },
    { messageId: event.messageId, beyond: JSON.rawJSON("1e9999") },
    deep,
    { messageId: event.messageId, __proto__: null, ["__proto__"]: 1, constructor: 2, toString: 3 },
  ];
}
