"""The declarations of the commands, a file a topic: names, options and help, importing nothing heavy."""
