// Sends the common events with @segment/analytics-node: node segment_node.cjs DATA_PLANE_URL WRITE_KEY
// Exits with 1 when the SDK reports that it could not deliver something.
const { Analytics } = require('@segment/analytics-node');
const events = require('./events.cjs');

const [host, writeKey] = process.argv.slice(2);
const failures = [];
const client = new Analytics({ host, writeKey, maxRetries: 2 });
client.on('error', (error) => failures.push(error));
for (const [method, args] of events) client[method](args);

client.closeAndFlush({ timeout: 20000 }).then(() => {
  failures.forEach((error) => console.error('not delivered:', error.code, error.reason));
  process.exit(failures.length ? 1 : 0);
});
