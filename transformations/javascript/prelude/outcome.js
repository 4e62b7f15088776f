// What is neither one output of an event nor none: several ("+" and their JSON, \x1e between them), a
// failure ("!" and its text and stack as JSON), a whole batch; and modules that do not come to their end.
((kit) => {
  "use strict";
  const { state, libraries, parse, stringify, text, isArray, kindOf, join, slice, then, hidden } = kit;
  const { RealError, RealPromise } = kit, { outputs } = state;
  let ended = false, failure = "ok";

  const put = (index, said) => { state.odd++; outputs[index] = said; };
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
  const told = (error) => {
    let said, stack = "";
    try {
      said = error instanceof RealError || (objective(error) && "message" in error)
        ? text(error.name ?? "Error") + ": " + text(error.message)
        : error === null ? "null was thrown, or memory ran out" : text(error);
      stack = text(error?.stack ?? "");
    } catch { said = "an error whose text cannot be had"; }
    return [slice(said, 0, 2000), slice(stack, 0, 4000)];
  };
  const fail = (index, error) => put(index, join(["!", stringify(told(error))], ""));
  const problem = (index, said) => put(index, join(["!", stringify([said, ""])], ""));
  const turnoutSettle = (index, value) => {
    try {
      if (value === null || value === undefined) { put(index, "-"); return; }
      if (objective(value)) { outputs[index] = written(value); return; }
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
      put(index, made.length ? join(["+", join(made, "\x1e")], "") : "-");
    } catch (error) { fail(index, error); }
  };
  const wait = (index, promise, use) => {
    state.pending++;
    then(promise, (value) => { state.pending--; use(value); }, (error) => { state.pending--; fail(index, error); });
  };
  const settle = (index, made) => {
    if (made instanceof RealPromise) wait(index, made, (value) => turnoutSettle(index, value));
    else turnoutSettle(index, made);
  };
  const odd = (given) => { // an event that does not begin as an object does
    const event = parse(given);
    if (!objective(event)) throw new TypeError("the event is not a JSON object");
    return event;
  };

  // A batch's outputs stand at place 0 as rows "identity, output or error"; the worker sorts them.
  const together = (value, what) => {
    if (!isArray(value)) { problem(0, "TypeError: returned events from " + what + " is not an array"); return; }
    const made = [];
    for (let i = 0; i < value.length; i++) {
      const one = value[i];
      if (!objective(one)) {
        made[i] = [null, null, "returned event in events array from " + what + " is not an object", ""];
        continue;
      }
      try { made[i] = [one.messageId ?? null, written(one)]; } catch (error) {
        made[i] = [one.messageId ?? null, null, ...told(error)];
      }
    }
    put(0, stringify(made));
  };
  const whole = (entry, lookUp) => {
    const what = entry === "transform" ? "transform(events)" : "transformBatch(event)";
    const transform = entry === "transform" ? globalThis.transform : libraries[""].transformBatch;
    try {
      const events = [];
      for (let i = 0; i < state.texts.length; i++) events[i] = odd(state.texts[i]);
      state.event = events[0];
      const made = transform(events, lookUp);
      if (made instanceof RealPromise) wait(0, made, (value) => together(value, what));
      else together(made, what);
    } catch (error) { fail(0, error); }
  };

  return {
    settle, fail, odd, whole,
    pending: () => state.pending,
    watch: (promise) => {
      ended = false;
      then(promise, () => { ended = true; }, (error) => { ended = true; failure = stringify(told(error)); });
    },
    loaded: () => (ended ? failure : ""),
    legacy: () => {
      if (typeof globalThis.transform !== "function") return "";
      hidden("metadata", kit.lookUp); // what the first version had, and had not
      delete globalThis.getCredential;
      return "transform";
    },
  };
})
