// What every batch needs: evaluated first in a fresh context, so it is kept short. Reading it costs
// more than running it; what few scripts use is in the other files here, each read when it is first
// used. A part must take what it needs from `kit`, captured here before a script can replace it; what
// is between backquotes would be put together by a method of strings that a script can replace.
// Called with the script's name, its credentials (JSON) and the texts of the parts, it returns
// `drive(verb, …)`; strings go in and out, nothing else.
((name, credentials, moment, console, reach, outcome) => {
  "use strict";
  const { parse, stringify } = JSON, { defineProperty, freeze } = Object, { call } = Function.prototype;
  const bound = (f) => call.bind(f), evaluate = eval;
  const kindOf = bound(Object.prototype.toString), then = bound(Promise.prototype.then);
  const join = bound(Array.prototype.join);
  const state = { name, credentials, item: 0, event: null, texts: [], about: "", outputs: [], odd: 0, pending: 0, lines: [] };
  const libraries = { __proto__: null };
  const hidden = (key, value) => defineProperty(globalThis, key, { __proto__: null, value, configurable: true, writable: true });
  const kit = {
    state, libraries, parse, stringify, defineProperty, bound, kindOf, then, join, hidden, RealPromise: Promise,
    RealError: Error, RealDate: Date, text: String, isArray: Array.isArray, imul: Math.imul, construct: Reflect.construct,
    slice: bound("".slice), charCode: bound("".charCodeAt), assign: Object.assign, hasOwn: Object.hasOwn,
  };

  // The lines of a part are beyond those of any script, which must not be blamed for them.
  const far = "\n".repeat(9999), texts = { moment, console, reach, outcome }, parts = { __proto__: null };
  const part = (which) => parts[which] ?? (parts[which] = evaluate(far + texts[which])(kit));
  const later = (which, key) => defineProperty(globalThis, key, {
    configurable: true,
    get() { const value = part(which)[key]; hidden(key, value); return value; },
    set(value) { hidden(key, value); },
  });
  const lookUp = kit.lookUp = (event) => part("moment").lookUp(event);
  later("moment", "Date");
  Math.random = () => part("moment").random();
  later("console", "log");
  later("console", "console");
  later("reach", "getCredential");
  later("reach", "fetch");
  later("reach", "fetchV2");
  later("reach", "geolocation");
  delete globalThis.performance;
  hidden("__turnoutLibrary", (wanted) => libraries[wanted]);
  hidden("__turnoutPublish", (wanted, exported) => { libraries[wanted] = freeze(exported); });

  // An output stands as its JSON, none as "-"; all else is in the words of outcome.js. A stack is read
  // down to a name that begins with "turnout": below is nothing of the script.
  const turnoutEach = (transform, texts) => {
    const { outputs } = state;
    for (let i = 0; i < texts.length; i++) {
      state.item = i;
      try {
        const given = texts[i], event = state.event = given[0] === "{" ? parse(given) : part("outcome").odd(given);
        const made = transform(event, lookUp);
        if (made === undefined || made === null) { state.odd++; outputs[i] = "-"; continue; }
        if (made === event || kindOf(made) === "[object Object]") { // an event handed back is one for certain
          const said = stringify(made);
          if (said && said[0] === "{") { outputs[i] = said; continue; }
        }
        part("outcome").settle(i, made);
      } catch (error) { part("outcome").fail(i, error); }
    }
  };
  const verbs = {
    // First letters of what a module published by the names of entries: f where it is a function.
    published: (module) => {
      const found = libraries[module];
      return found && (typeof found.transformEvent)[0] + (typeof found.transformBatch)[0];
    },
    run: (entry, about, ...texts) => {
      delete globalThis.__turnoutLibrary;
      delete globalThis.__turnoutPublish;
      state.about = about;
      state.texts = texts;
      if (entry === "transformEvent") turnoutEach(libraries[""].transformEvent, texts);
      else part("outcome").whole(entry, lookUp);
      return state.pending;
    },
    results: () => { // joined: the binding knows no ropes, which long sums are
      const { outputs, texts } = state;
      outputs[texts.length] = state.item + " " + state.odd + " " + state.lines.length;
      return join(outputs, "\n");
    },
    part: (which, verb, ...values) => part(which)[verb](...values),
  };
  return (verb, ...values) => verbs[verb](...values);
})
