"""What several parts of Turnout share of one tool: a package per vendor. Built on the vocabulary alone."""
