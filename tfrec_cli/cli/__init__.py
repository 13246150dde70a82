"""The command line: options, values and where they come from, completion, exit codes."""
