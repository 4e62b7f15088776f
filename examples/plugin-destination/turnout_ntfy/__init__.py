"""ntfy as a destination of Turnout."""
