"""The fault harness: break `tfrec write` at every step, and check what is left.

Knows: the command line and the files on disk. The modules that break writes (`sweep`, `kills`,
`disks`) must not know tfrec_cli, so that a bug there cannot hide itself; only `launcher` imports
it, to start the command.

`make test` runs a sample (test_faults.py), `make torture` everything (python -m tests.faults).
"""
