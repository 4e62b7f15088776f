// What scripts ask the world for; the worker asks the parent, a batch's questions at once.
((kit) => {
  "use strict";
  const { state, parse, stringify, join, then, RealError, RealPromise, assign, hasOwn } = kit;
  const credentials = parse(state.credentials), waiting = { __proto__: null };
  let pending = [], tickets = 0;

  const getCredential = (key) => {
    if (key === null || key === undefined) throw new TypeError("Key should be valid and defined");
    return hasOwn(credentials, key) ? credentials[key] : undefined;
  };
  const ask = (verb, values) => new RealPromise((resolve, reject) => {
    const ticket = ++tickets, said = stringify({ id: ticket, verb, args: values });
    if (said.length > 1000000) throw new RealError(verb + " is asked with more than 1,000,000 characters");
    waiting[ticket] = [resolve, reject];
    pending[pending.length] = said;
  });
  const fetch = (...values) => then(ask("fetch", values), (found) => {
    if (found.status === undefined) return "ERROR";
    try { return parse(found.body); } catch { return "ERROR"; }
  }, () => "ERROR");
  const fetchV2 = (...values) => then(ask("fetch", values), (found) => {
    const answer = { url: found.url, status: found.status, headers: found.headers, body: found.body };
    try { answer.body = parse(found.body); } catch { /* stays text */ }
    return answer;
  });
  const geolocation = (...values) => ask("geolocation", values);

  const asked = () => { // as many as go in one message; the rest when these are answered
    const first = [], rest = [];
    let room = 1000000;
    for (let i = 0; i < pending.length; i++) {
      room -= pending[i].length;
      if (room >= 0 || i === 0) first[first.length] = pending[i];
      else rest[rest.length] = pending[i];
    }
    pending = rest;
    return join(["[", join(first, ","), "]"], ""); // a long sum is a rope, which the binding does not know
  };
  const told = (given) => {
    const answers = parse(given);
    for (let i = 0; i < answers.length; i++) {
      const one = answers[i], waits = waiting[one.id];
      if (!waits) continue;
      delete waiting[one.id];
      if (one.error === undefined) waits[0](one.value);
      else waits[1](assign(new RealError(), { message: one.error })); // seen where a script returns it
    }
  };
  return { getCredential, fetch, fetchV2, geolocation, asked, told };
})
