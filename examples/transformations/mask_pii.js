// Masks personal data before it leaves: an e-mail address becomes a hash with a key (one person stays one person),
// names and numbers are hidden, addresses of the net are cut, free text is scrubbed.
import { normalizeEmail } from 'turnout/contact';
import { hmac } from 'turnout/hash';
import { maskIp, redact, scrub } from 'turnout/mask';

const HIDDEN = ["name", "firstName", "lastName", "phone", "birthday", "ssn", "address"];

function masked(traits, key) {
  const email = normalizeEmail(traits.email);
  const hidden = redact(traits, HIDDEN);
  if ("email" in hidden) hidden.email = email ? hmac("sha256", key, email) : "[redacted]";
  return hidden;
}

export function transformEvent(event) {
  const key = getCredential("pii_key");
  if (!key) throw new Error("the credential pii_key is missing");
  if (event.traits) event.traits = masked(event.traits, key);
  if (event.context?.traits) event.context.traits = masked(event.context.traits, key);
  if (event.context?.ip) event.context.ip = maskIp(event.context.ip);
  if (event.request_ip) event.request_ip = maskIp(event.request_ip);
  if (event.properties) event.properties = scrub(event.properties);
  return event;
}
