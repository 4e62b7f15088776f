"""What several parts of Turnout share of one tool: a package per vendor. Pure, and built on the vocabulary alone."""
