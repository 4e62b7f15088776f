// Adds what a company-lookup API knows about the sender of a quote request, by the domain of the e-mail address.
//
//   transformations:
//     enrich_company:
//       file: examples/transformations/enrich_company.js
//       credentials: {lookup_url: "https://api.lookup.example.com/companies", lookup_key: "${LOOKUP_KEY}"}
//       fetch: {allow: [api.lookup.example.com], cache: 1h, timeout: 3s}
const FREE = new Set(["gmail.com", "outlook.com", "yahoo.com", "icloud.com", "proton.me"]);

export async function transformEvent(event) {
  if (event.event !== "Quote Requested") return event;
  const email = event.properties?.email ?? event.context?.traits?.email ?? "";
  const domain = email.split("@")[1]?.trim().toLowerCase();
  if (!domain || FREE.has(domain)) return event;
  try {
    const answer = await fetchV2(`${getCredential("lookup_url")}?domain=${encodeURIComponent(domain)}`, {
      headers: { Authorization: `Bearer ${getCredential("lookup_key")}` },
    });
    if (answer.status === 200) {
      const { name, employees, industry } = answer.body;
      event.properties.company = { name, employees, industry, domain };
      event.properties.enterprise = employees >= 1000;
    }
  } catch (error) {
    // An event is worth more than its company: it goes on without, and says so.
    event.properties.company_lookup = error.message;
  }
  return event;
}
