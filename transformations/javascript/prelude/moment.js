// Time, chance and metadata: those of the event, so that a run again gives the same.
((kit) => {
  "use strict";
  const { state, parse, stringify, defineProperty, text, imul, charCode, construct, RealDate } = kit;
  let metadata = null, places = null, timed = -1, moment = NaN, seeded = -1, seed = 0;

  const notes = (index) => {
    if (metadata === null) { try { metadata = parse(state.about); } catch { metadata = []; } }
    const found = metadata[index];
    return found !== null && typeof found === "object" ? found : {};
  };
  const now = () => {
    if (timed !== state.item) {
      timed = state.item;
      moment = RealDate.parse(notes(timed).receivedAt);
      if (moment !== moment) moment = RealDate.parse(state.event?.receivedAt);
      if (moment !== moment) moment = 0;
    }
    return moment;
  };
  function FixedDate(...values) {
    if (!new.target) return text(new RealDate(now()));
    return construct(RealDate, values.length ? values : [now()], new.target);
  }
  FixedDate.prototype = RealDate.prototype;
  const own = (key, value) => defineProperty(FixedDate, key, { __proto__: null, value, configurable: true, writable: true });
  own("parse", RealDate.parse);
  own("UTC", RealDate.UTC);
  own("now", () => now());
  defineProperty(FixedDate, "name", { __proto__: null, value: "Date" });
  defineProperty(FixedDate, "length", { __proto__: null, value: 7 });
  defineProperty(RealDate.prototype, "constructor", { __proto__: null, value: FixedDate, configurable: true, writable: true });

  const random = () => {
    if (seeded !== state.item) {
      seeded = state.item;
      const from = state.name + "\0" + text(state.event?.messageId);
      seed = 2166136261;
      for (let i = 0; i < from.length; i++) seed = imul(seed ^ charCode(from, i), 16777619);
    }
    // mulberry32 (public domain, Tommy Ettinger)
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };

  const key = (identity) => (typeof identity === "string" ? "text " + identity : "other " + text(identity));
  const lookUp = (event) => {
    const wanted = event === null || event === undefined ? undefined : event.messageId;
    if (state.event?.messageId === wanted) return parse(stringify(notes(state.item)));
    if (places === null) { // a map's methods could have been replaced
      places = { __proto__: null };
      for (let i = 0; i < state.texts.length; i++) places[key(parse(state.texts[i])?.messageId)] ??= i;
    }
    const index = places[key(wanted)];
    return index === undefined ? {} : parse(stringify(notes(index)));
  };
  return { Date: FixedDate, random, lookUp };
})
