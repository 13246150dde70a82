"""The command line: options, values and where they come from, completion, exit codes.

A command has three files with its name: its options here, its steps in `commands`, its output in
`report`. The file here is loaded when the command is called.
"""
