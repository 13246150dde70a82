"""A handle keeps its object; a copy of it does not."""

from __future__ import annotations

import weakref

import pytest

from tfrec_cli.reading.handles import handle, kept


class Kept:
    pass


def test_an_object_lives_as_long_as_its_handle() -> None:
    objects = [Kept(), Kept()]
    arrays = [handle(one) for one in objects]
    watched = weakref.ref(objects[0])
    copy = arrays[0].copy()
    assert [kept(one) for one in arrays] == objects
    assert kept(copy) is objects[0]
    del objects[0], arrays[0]
    assert watched() is None
    with pytest.raises(KeyError):
        kept(copy)
    assert kept(arrays[0]) is objects[0]
