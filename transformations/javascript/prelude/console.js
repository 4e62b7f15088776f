// What scripts say. Shown in trials: 100 lines of 300 characters.
((kit) => {
  "use strict";
  const { state, stringify, text, kindOf, join, slice } = kit, { lines } = state;
  const shown = (value) => {
    if (value !== null && typeof value === "object") {
      try { return text(stringify(value)); } catch { return kindOf(value); }
    }
    return text(value);
  };
  const log = (...values) => {
    if (lines.length >= 100) return;
    const said = [];
    for (let i = 0; i < values.length; i++) said[i] = shown(values[i]);
    lines[lines.length] = slice(join(said, " "), 0, 300);
  };
  const quiet = () => undefined;
  return {
    log,
    console: { log: quiet, info: quiet, warn: quiet, error: quiet, debug: quiet },
    lines: () => stringify(lines),
  };
})
