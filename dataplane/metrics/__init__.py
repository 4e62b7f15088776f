"""Declarations of every metric and log line; everyone may import it, it imports nobody."""
