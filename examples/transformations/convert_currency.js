// Adds the amount in euros, by a table that is kept in git: a replay gives the same numbers as the first time.
const EUROS = { EUR: 1, USD: 0.92, GBP: 1.17, CHF: 1.05, JPY: 0.0061 };
const AMOUNTS = ["revenue", "total", "value"];

export function transformEvent(event) {
  const properties = event.properties ?? {};
  const amount = AMOUNTS.map((name) => properties[name]).find((value) => value !== undefined && value !== null);
  if (amount === undefined) return event;
  const code = String(properties.currency ?? "EUR").toUpperCase();
  if (!Object.hasOwn(EUROS, code)) throw new Error(`there is no rate for ${code}`);
  const number = Number(amount);
  if (Number.isNaN(number)) throw new Error(`${amount} is no amount`);
  properties.value_eur = Math.floor(number * EUROS[code] * 100 + 0.5) / 100;
  return event;
}
