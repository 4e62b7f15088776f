"""config.yaml: its model, its diagnostics, its secrets.

`load` and `parse` give a `Config` or raise a ConfigError with every finding; `check` gives the
findings. Nothing here imports a destination before a config names it.
"""

from dataplane.config.diagnostic import Diagnostic, InvalidConfig
from dataplane.config.display import fingerprint, masked
from dataplane.config.loader import Finding, Hook, check, connection, load, parse
from dataplane.config.model import Config

__all__ = [
    "Config",
    "Diagnostic",
    "Finding",
    "Hook",
    "InvalidConfig",
    "check",
    "connection",
    "fingerprint",
    "load",
    "masked",
    "parse",
]
