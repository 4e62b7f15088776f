"""The command line. Only typer is imported before a command is known, so that `--help` is quick."""
