// Gives traits the names that a tool knows, and leaves out those that it must not have.
const NAMES = { first_name: "firstName", last_name: "lastName", mobile: "phone", company_name: "company" };
const LEFT_OUT = new Set(["internal_score", "notes"]);

const renamed = (traits) => {
  const made = {};
  for (const [name, value] of Object.entries(traits)) {
    if (LEFT_OUT.has(name)) continue;
    const wanted = Object.hasOwn(NAMES, name) ? NAMES[name] : name;
    if (wanted === name || !(wanted in traits)) made[wanted] = value; // a trait that has the right name comes first
  }
  return made;
};

export function transformEvent(event) {
  if (event.traits) event.traits = renamed(event.traits);
  if (event.context?.traits) event.context.traits = renamed(event.context.traits);
  return event;
}
