"""The fault harness: break `tfrec write` at every step, and look at what is left.

Knows: the command line and the files on disk. What breaks writes (`sweep`, `kills`, `disks`) must
not know the modules of tfrec_cli, so that a fault in them cannot hide itself; only `launcher`
imports them, to start the command.

`make test` runs a sample (test_faults.py), `make torture` everything (python -m tests.faults).
"""
