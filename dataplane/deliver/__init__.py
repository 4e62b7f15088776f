"""From routed events to verdicts: lanes, cursors, retries, dead letters."""
