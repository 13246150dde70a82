"""The command line: options, values and where they come from, completion, exit codes.

A command has three files of its name: its options here, its steps in `commands`, its words in
`report`. The one here is loaded when the command is called.
"""
