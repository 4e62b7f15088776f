// id: B012
// goal: a result nested deeper than anyone can write
export function transformEvent(event) {
  let made = {};
  for (let i = 0; i < 300000; i++) made = { a: made };
  return made;
}
