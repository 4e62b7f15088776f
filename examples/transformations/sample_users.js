// Keeps all events of one user in ten, and always the same users: a tool that is paid by volume still sees whole
// journeys. identify, group and alias pass, so that the users who are kept have their traits.
import { cyrb53 } from 'turnout/hash';

const PERCENT = 10;

export function transformEvent(event) {
  if (["identify", "group", "alias"].includes(event.type)) return event;
  const user = event.userId || event.anonymousId;
  if (!user) return;
  return cyrb53(user) % 100 < PERCENT ? event : null;
}
