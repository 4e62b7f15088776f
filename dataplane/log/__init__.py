"""The log: the one place where accepted events live. Contracts in `base`, the local engine in `local`."""
