"""Rejects: one JSON object per line, which preserves every path."""

from __future__ import annotations

import json

from tfrec_cli.dataset import rejects as rejects_file
from tfrec_cli.dataset.rejects import Reject


class TestRejects:
    def test_each_reject_is_one_object_on_one_line(self) -> None:
        rejects = [
            Reject(b"a/1.jpg", "corrupt", "found x"),
            Reject(b"a/caf\xe9\n", "hidden", "hidden", harmless=True),
        ]
        lines = rejects_file.dump(rejects).decode("ascii").splitlines()
        assert [json.loads(line) for line in lines] == [
            {"path": "a/1.jpg", "reason": "corrupt", "message": "found x", "ignored": False},
            {"path": "a/caf\udce9\n", "reason": "hidden", "message": "hidden", "ignored": True},
        ]

    def test_without_rejects_the_file_is_empty(self) -> None:
        assert rejects_file.dump([]) == b""
