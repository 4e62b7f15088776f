// Sends the common events with @rudderstack/rudder-sdk-node: node rudder_node.cjs DATA_PLANE_URL WRITE_KEY
// Exits with 1 when the SDK reports that it could not deliver something.
const RudderAnalytics = require('@rudderstack/rudder-sdk-node');
const events = require('./events.cjs');

const [dataPlaneUrl, writeKey] = process.argv.slice(2);
const failures = [];
const client = new RudderAnalytics(writeKey, {
  dataPlaneUrl,
  logLevel: 'none',
  errorHandler: (error) => failures.push(error),
});

// Each call's callback fires when the request that carried the event was answered.
const sent = events.map(
  ([method, args]) =>
    new Promise((resolve) => {
      client[method](args, (error) => {
        if (error) failures.push(error);
        resolve();
      });
    }),
);

(async () => {
  await client.flush();
  await Promise.all(sent);
  failures.forEach((error) => console.error('not delivered:', error.message || error));
  process.exit(failures.length ? 1 : 0);
})();
