"""The tools that events go to: a registry, and one folder per tool."""
