// What a script finds around it, and the one function by which the worker drives a run.
// Evaluated first in a fresh context; everything it will need later is captured here, before a script
// can replace it. Its value is `drive(what, …)`; strings go in and out, nothing else.
(() => {
  "use strict";
  const { parse, stringify } = JSON;
  const { isArray } = Array;
  const RealDate = Date, RealPromise = Promise, RealError = Error;
  const call = Function.prototype.call;
  const bound = (f) => call.bind(f);
  const then = bound(Promise.prototype.then), text = String, kindOf = bound(Object.prototype.toString);
  const join = bound(Array.prototype.join), slice = bound(String.prototype.slice);
  const construct = Reflect.construct, freeze = Object.freeze;
  const imul = Math.imul, charCode = bound(String.prototype.charCodeAt);
  const libraries = Object.create(null);

  // ---- the run in hand
  let events = [], metadata = null, metadataText = "[]", item = 0, pending = 0;
  let codes = [], outputs = [], seed = 0, seeded = -1, name = "", moment = NaN, timed = -1;
  let lines = [], asked = [], waiting = Object.create(null), tickets = 0, credentials = {}, ended = false;
  let scriptExports = Object.create(null), places = null, identities = [];

  const hidden = (key, value) =>
    Object.defineProperty(globalThis, key, { value, configurable: true, writable: true, enumerable: false });

  hidden("__turnoutLibrary", (wanted) => {
    if (!(wanted in libraries)) throw new RealError(`import from ${wanted} failed. Module not found.`);
    return libraries[wanted];
  });
  hidden("__turnoutPublish", (wanted, exported) => { libraries[wanted] = freeze(exported); });

  // ---- time and chance: those of the event, so that a run again gives the same
  const notes = (index) => {
    if (metadata === null) { try { metadata = parse(metadataText); } catch { metadata = []; } }
    const found = metadata[index];
    return found !== null && typeof found === "object" ? found : {};
  };
  const now = () => {
    if (timed !== item) {
      timed = item;
      moment = RealDate.parse(notes(item).receivedAt);
      if (moment !== moment) moment = RealDate.parse(events[item]?.receivedAt);
      if (moment !== moment) moment = 0;
    }
    return moment;
  };
  function FixedDate(...values) {
    if (!new.target) return text(new RealDate(now()));
    return construct(RealDate, values.length ? values : [now()], new.target);
  }
  FixedDate.prototype = RealDate.prototype;
  for (const key of ["parse", "UTC"]) Object.defineProperty(FixedDate, key, Object.getOwnPropertyDescriptor(RealDate, key));
  Object.defineProperty(FixedDate, "now", { value: () => now(), configurable: true, writable: true });
  Object.defineProperty(FixedDate, "name", { value: "Date" });
  Object.defineProperty(FixedDate, "length", { value: 7 });
  Object.defineProperty(RealDate.prototype, "constructor", { value: FixedDate, configurable: true, writable: true });
  hidden("Date", FixedDate);
  Math.random = () => {
    if (seeded !== item) {
      seeded = item;
      const from = `${name}\0${events[item]?.messageId}`;
      seed = 2166136261;
      for (let i = 0; i < from.length; i++) seed = imul(seed ^ charCode(from, i), 16777619);
    }
    // mulberry32 (public domain, Tommy Ettinger)
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  delete globalThis.performance;

  // ---- what scripts call
  const shown = (value) => {
    if (value !== null && typeof value === "object") {
      try { return text(stringify(value)); } catch { return kindOf(value); }
    }
    return text(value);
  };
  hidden("log", (...values) => {
    if (lines.length >= 100) return;
    const said = [];
    for (let i = 0; i < values.length; i++) said[i] = shown(values[i]);
    lines[lines.length] = slice(join(said, " "), 0, 300);
  });
  const quiet = () => undefined;
  hidden("console", { log: quiet, info: quiet, warn: quiet, error: quiet, debug: quiet });
  hidden("getCredential", (key) => {
    if (key === null || key === undefined) throw new TypeError("Key should be valid and defined");
    return Object.hasOwn(credentials, key) ? credentials[key] : undefined;
  });
  const ask = (verb, values) => new RealPromise((resolve, reject) => {
    const ticket = ++tickets, said = stringify({ id: ticket, verb, args: values });
    if (said.length > 1000000) throw new RealError(`${verb} is asked with more than 1,000,000 characters`);
    waiting[ticket] = [resolve, reject];
    asked[asked.length] = said;
  });
  hidden("fetch", (...values) => then(ask("fetch", values), (found) => {
    if (found.status === undefined) return "ERROR";
    try { return parse(found.body); } catch { return "ERROR"; }
  }, () => "ERROR"));
  hidden("fetchV2", (...values) => then(ask("fetch", values), (found) => {
    const answer = { url: found.url, status: found.status, headers: found.headers, body: found.body };
    try { answer.body = parse(found.body); } catch { /* stays text */ }
    return answer;
  }));
  hidden("geolocation", (...values) => ask("geolocation", values));

  // ---- results
  const objective = (value) => {
    if (value === null || typeof value !== "object") return false;
    const kind = kindOf(value);
    return kind === "[object Object]" || kind === "[object Error]";
  };
  const written = (value) => {
    const made = stringify(value);
    if (made === undefined || made[0] !== "{") throw new TypeError("returned event is not a JSON object");
    return made;
  };
  const fail = (index, error) => {
    codes[index] = -1;
    let said, stack = "";
    try {
      said = error instanceof RealError || (objective(error) && "message" in error)
        ? `${error.name ?? "Error"}: ${error.message}`
        : error === null ? "null was thrown, or memory ran out" : text(error);
      stack = text(error?.stack ?? "");
    } catch { said = "an error whose text cannot be had"; }
    outputs[index] = [stringify([slice(said, 0, 2000), slice(stack, 0, 4000)])];
  };
  const problem = (index, said) => { codes[index] = -1; outputs[index] = [stringify([said, ""])]; };
  const settle = (index, value) => {
    try {
      if (value === null || value === undefined) { codes[index] = 0; outputs[index] = []; return; }
      if (objective(value)) { outputs[index] = [written(value)]; codes[index] = 1; return; }
      if (!isArray(value)) {
        problem(index, "TypeError: returned event from transformEvent(event) is not an object");
        return;
      }
      if (value.length > 1000) { problem(index, "Error: more than 1,000 events returned for one"); return; }
      const made = [];
      for (let i = 0; i < value.length; i++) {
        if (!objective(value[i])) {
          problem(index, "TypeError: returned event in events array from transformEvent(event) is not an object");
          return;
        }
        made[i] = written(value[i]);
      }
      outputs[index] = made;
      codes[index] = made.length;
    } catch (error) { fail(index, error); }
  };
  const lookUp = (event) => {
    const wanted = event === null || event === undefined ? undefined : event.messageId;
    let index = events[item]?.messageId === wanted ? item : -1;
    if (index < 0) {
      if (places === null) {
        places = new Map();
        for (let i = 0; i < identities.length; i++) if (!places.has(identities[i])) places.set(identities[i], i);
      }
      index = places.get(wanted) ?? -1;
    }
    return index < 0 ? {} : parse(stringify(notes(index)));
  };

  const each = (transform) => {
    for (let i = 0; i < events.length; i++) {
      item = i;
      try {
        const made = transform(events[i], lookUp);
        if (made instanceof RealPromise) {
          pending++;
          then(made, (value) => { pending--; settle(i, value); }, (error) => { pending--; fail(i, error); });
        } else settle(i, made);
      } catch (error) { fail(i, error); }
    }
  };
  // A batch's outputs stand at place 0 as lines "identity, output or error"; the worker sorts them.
  const together = (value, what) => {
    if (!isArray(value)) { problem(0, `TypeError: returned events from ${what} is not an array`); return; }
    const made = [];
    for (let i = 0; i < value.length; i++) {
      const one = value[i];
      if (!objective(one)) {
        made[i] = [null, null, `returned event in events array from ${what} is not an object`, ""];
        continue;
      }
      try { made[i] = [one.messageId ?? null, written(one)]; } catch (error) {
        fail(0, error);
        made[i] = [one.messageId ?? null, null, ...parse(outputs[0][0])];
      }
    }
    codes[0] = 1;
    outputs[0] = [stringify(made)];
  };
  const whole = (transform, what) => {
    try {
      const made = transform(events, lookUp);
      if (made instanceof RealPromise) {
        pending++;
        then(made, (value) => { pending--; together(value, what); }, (error) => { pending--; fail(0, error); });
      } else together(made, what);
    } catch (error) { fail(0, error); }
  };

  const verbs = {
    configure: (given) => { ({ name, credentials } = parse(given)); },
    // Loading: a module's promise, its names, and the end of loading.
    watch: (promise) => {
      ended = false; codes = []; outputs = [];
      then(promise, () => { ended = true; }, (error) => { ended = true; fail(0, error); });
    },
    loaded: () => (ended ? (outputs.length ? outputs[0][0] : "ok") : ""),
    entry: (module) => {
      const found = module in libraries ? libraries[module] : Object.create(null);
      scriptExports = found;
      const names = [];
      for (const key of ["transformEvent", "transformBatch"]) if (typeof found[key] === "function") names[names.length] = key;
      return join(names, ",");
    },
    legacy: () => {
      if (typeof globalThis.transform !== "function") return "";
      hidden("metadata", lookUp); // what the first version had, and had not
      delete globalThis.getCredential;
      return "transform";
    },
    close: () => { delete globalThis.__turnoutLibrary; delete globalThis.__turnoutPublish; },
    run: (entry, given, about) => {
      events = parse(given); metadataText = about; metadata = null; places = null;
      codes = []; outputs = []; lines = []; asked = []; pending = 0; item = 0; timed = seeded = -1;
      identities = [];
      for (let i = 0; i < events.length; i++) {
        if (!objective(events[i])) return "the event is not a JSON object";
        identities[i] = events[i].messageId;
      }
      if (entry === "transformEvent") each(scriptExports.transformEvent);
      else if (entry === "transformBatch") whole(scriptExports.transformBatch, "transformBatch(event)");
      else whole(globalThis.transform, "transform(events)");
      return "";
    },
    pending: () => pending,
    asked: () => { // as many as go in one message; the rest when these are answered
      const now = [], later = [];
      let room = 1000000;
      for (let i = 0; i < asked.length; i++) {
        room -= asked[i].length;
        if (room >= 0 || i === 0) now[now.length] = asked[i];
        else later[later.length] = asked[i];
      }
      asked = later;
      return `[${join(now, ",")}]`;
    },
    told: (given) => {
      const answers = parse(given);
      for (let i = 0; i < answers.length; i++) {
        const one = answers[i], waits = waiting[one.id];
        if (!waits) continue;
        delete waiting[one.id];
        if (one.error === undefined) waits[0](one.value);
        else waits[1](Object.assign(new RealError(), { message: one.error })); // seen where a script returns it
      }
    },
    results: () => {
      const flat = [""];
      for (let i = 0; i < codes.length; i++) {
        const made = outputs[i] ?? [];
        for (let j = 0; j < made.length; j++) flat[flat.length] = made[j];
      }
      for (let i = 0; i < identities.length; i++) {
        if (codes[i] === undefined || (codes[i] === -1 && !outputs[i])) codes[i] = -9; // cut off before its end
      }
      flat[0] = `${item} ${join(codes, ",")}`;
      return join(flat, "\n"); // joined, not concatenated: the binding knows no ropes
    },
    lines: () => stringify(lines),
  };
  return (what, ...values) => verbs[what](...values);
})();
