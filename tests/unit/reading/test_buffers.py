"""Memory is reused, but never while anything still refers to it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli.reading.buffers import ALIGNED_BYTES, BufferPool

SHAPE = (3, 50, 60, 3)
BYTES = 3 * 50 * 60 * 3

fixed = settings(deadline=None, derandomize=True)


def address(array: Any) -> int:
    """Return where an array or a memoryview starts."""
    return int(np.asarray(array).ctypes.data)


def block(pool: BufferPool) -> Any:
    """Return the array that every test here asks for; it needs a block of its own."""
    return pool.array(SHAPE, np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (0, 4), (5, 33, 35, 3), ()])
def test_an_array_has_the_shape_and_dtype_asked_for(shape: tuple[int, ...], dtype: Any) -> None:
    array = BufferPool().array(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)


@pytest.mark.parametrize("count", [1, 31, 63, 64, 65, 4095, 4096, 4097, 99_999])
def test_an_array_is_aligned_for_tensorflow(count: int) -> None:
    pool = BufferPool()
    arrays = [pool.array((count,), np.uint8) for _ in range(8)]
    assert [address(array) % ALIGNED_BYTES for array in arrays] == [0] * 8


def test_an_array_is_writable_and_contiguous() -> None:
    flags = block(BufferPool()).flags
    assert (flags.writeable, flags.c_contiguous) == (True, True)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1023, 1024, 1025])
def test_a_view_has_the_size_asked_for(size: int) -> None:
    assert len(BufferPool().view(size)) == size


def test_an_array_can_be_filled_to_its_end() -> None:
    """It is inside its block, wherever the block starts."""
    pool = BufferPool()
    arrays = [pool.array((size,), np.uint8) for size in range(1, 130)]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [set(array.tolist()) for array in arrays] == [{number} for number in range(129)]


# Reused


def test_the_memory_of_a_deleted_array_is_reused() -> None:
    pool = BufferPool()
    first = address(block(pool))
    assert address(block(pool)) == first


def test_the_memory_of_a_deleted_view_is_reused() -> None:
    pool = BufferPool()
    first = address(pool.view(BYTES))
    assert address(pool.view(BYTES)) == first


def test_the_oldest_of_several_blocks_is_reused() -> None:
    pool = BufferPool()
    held = [block(pool) for _ in range(5)]
    first = address(held.pop(0))
    assert address(block(pool)) == first


def test_asking_again_takes_no_more_memory() -> None:
    pool = BufferPool()
    assert len({address(block(pool)) for _ in range(100)}) == 1


def test_other_sizes_do_not_share_a_block() -> None:
    """A smaller array in the block would waste the rest of it."""
    pool = BufferPool()
    first = address(block(pool))
    small = pool.array((16,), np.uint8)
    assert address(small) != first


# Not reused

HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda array: array,
    "one image": lambda array: array[1],
    "one value": lambda array: array[2:, 49:, 59:, 2:],
    "nothing of it": lambda array: array[:0],
    "its end": lambda array: array.reshape(-1)[-1:],
    "backwards": lambda array: array[:, ::-1],
    "a step": lambda array: array[::2],
    "transposed": lambda array: array.transpose(3, 1, 2, 0),
    "another dtype": lambda array: array.reshape(-1).view(np.int32),
    "a view of a view": lambda array: array[1:][0][5:][:, :, 1],
    "an iterator": iter,
    "rows": list,
    "flat": lambda array: array.flat,
    "a memoryview": memoryview,
    "its memoryview": lambda array: array.data,
    "a slice of its memoryview": lambda array: array.reshape(-1).data[7:9],
    "an array of its memoryview": lambda array: np.frombuffer(array.reshape(-1).data, np.uint8),
    "a cast memoryview": lambda array: memoryview(array.reshape(-1)).cast("I"),
    "a broadcast": lambda array: np.broadcast_to(array, (2, *array.shape)),
    "strides": lambda array: np.lib.stride_tricks.sliding_window_view(array, 3, 0),
    "a closure": lambda array: lambda: array,
    "a reference cycle": lambda array: [held := [array], held.append(held)],
    "ctypes": lambda array: array.ctypes,
    "a pointer": lambda array: np.ctypeslib.as_ctypes(array.reshape(-1)),
    "DLPack": lambda array: array.__dlpack__(),
    "by DLPack": np.from_dlpack,
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_an_array_is_not_reused_while_something_refers_to_it(holder: Callable[[Any], Any]) -> None:
    pool = BufferPool()
    array = block(pool)
    before = address(array)
    held = holder(array)
    del array
    later = [block(pool) for _ in range(3)]
    assert before not in map(address, later)
    del held


TENSORS: dict[str, Callable[[Any], Any]] = {
    "converted": lambda array: tf.convert_to_tensor(array),
    "a constant": lambda array: tf.constant(array),
    "sliced": lambda array: tf.convert_to_tensor(array)[1],
    "reshaped": lambda array: tf.reshape(tf.convert_to_tensor(array), [-1]),
    "by numpy_function": lambda array: tf.numpy_function(lambda: array, [], tf.uint8),
    "its DLPack": lambda array: tf.experimental.dlpack.from_dlpack(
        tf.experimental.dlpack.to_dlpack(tf.convert_to_tensor(array))
    ),
    "its array": lambda array: tf.convert_to_tensor(array).numpy(),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS.keys())
def test_a_tensor_of_an_array_keeps_its_values(tensor: Callable[[Any], Any]) -> None:
    """It either shares the memory and refers to it, or is a copy."""
    pool = BufferPool()
    array = block(pool)
    array[:] = 1
    held = tensor(array)
    del array
    for one in [block(pool) for _ in range(3)]:
        one[:] = 2
    assert (np.asarray(held) == 1).all()


def test_batches_from_tf_data_keep_their_values() -> None:
    """Made like the reader's, by Python functions in many threads."""
    pool = BufferPool()

    def make(number: int) -> Any:
        array = block(pool)
        array[:] = number
        return array

    yielded = tf.data.Dataset.range(60).map(
        lambda number: tf.numpy_function(make, [number], tf.uint8), num_parallel_calls=4
    )
    held = list(yielded.prefetch(2))
    assert [set(one.numpy().flat) for one in held] == [{number} for number in range(60)]


VIEW_HOLDERS: dict[str, Callable[[memoryview], Any]] = {
    "itself": lambda view: view,
    "a slice": lambda view: view[5:6],
    "nothing of it": lambda view: view[:0],
    "a slice of a slice": lambda view: view[5:][3:9][::2],
    "a memoryview": memoryview,
    "read-only": lambda view: view.toreadonly(),
    "cast": lambda view: view.cast("B"),
    "an array": lambda view: np.frombuffer(view, np.uint8),
    "an array of a slice": lambda view: np.frombuffer(view[5:9], np.uint8)[1:],
}


@pytest.mark.parametrize("holder", VIEW_HOLDERS.values(), ids=VIEW_HOLDERS.keys())
def test_a_view_is_not_reused_while_something_refers_to_it(holder: Callable[[Any], Any]) -> None:
    pool = BufferPool()
    view = pool.view(BYTES)
    before = address(view)
    held = holder(view)
    del view
    later = [pool.view(BYTES) for _ in range(3)]
    assert before not in map(address, later)
    del held


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS.keys())
def test_an_array_is_reused_once_nothing_refers_to_it(holder: Callable[[Any], Any]) -> None:
    pool = BufferPool()
    before = address(block(pool))
    holder(block(pool))
    gc.collect(0)  # for reference cycles
    assert before in [address(one) for one in [block(pool) for _ in range(3)]]


@pytest.mark.parametrize("count", [31, 32, 33, 34, 100])
def test_blocks_in_use_are_distinct(count: int) -> None:
    """Also those beyond the number that the pool keeps."""
    pool = BufferPool()
    arrays = [block(pool) for _ in range(count)]
    assert len({address(array) for array in arrays}) == count


def test_blocks_that_the_pool_dropped_are_not_given_out_while_in_use() -> None:
    pool = BufferPool()
    arrays = [block(pool) for _ in range(40)]
    kept = {address(array) for array in arrays[:3]}
    del arrays[3:]
    assert kept.isdisjoint({address(one) for one in [block(pool) for _ in range(64)]})


@fixed
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300), st.booleans()), max_size=120))
def test_memory_in_use_keeps_its_values(steps: list[tuple[int, int, bool]]) -> None:
    """Arrays, views and parts of both are asked for and deleted in any order."""
    pool = BufferPool()
    held: list[tuple[Any, int]] = []
    for number, (kind, size, lets_go) in enumerate(steps):
        value = number % 251
        if kind < 2:
            array = pool.array((size,), np.uint8)
            array[:] = value
            held.append((array if kind else array[size // 2 :], value))
        else:
            view = pool.view(size)
            view[:] = bytes([value]) * size
            held.append((view if kind == 2 else view[: size // 2], value))
        del kind
        if lets_go:
            held.pop(size % len(held))
    array = view = None
    assert [set(bytes(one)) - {value} for one, value in held] == [set()] * len(held)


def test_threads_that_ask_at_once_never_share_a_block() -> None:
    pool = BufferPool()
    start = threading.Barrier(8)
    wrong: list[int] = []

    def work(number: int) -> None:
        start.wait()
        for turn in range(200):
            array = pool.array((1000 + number,), np.uint8)
            view = pool.view(1000 + number)
            array[:], view[:] = number, bytes([number]) * len(view)
            if (array != number).any() or set(view) != {number}:
                wrong.append(turn)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert wrong == []


def test_threads_that_hold_blocks_have_distinct_ones() -> None:
    pool = BufferPool()
    start = threading.Barrier(8)

    def work(_number: int) -> list[Any]:
        start.wait()
        return [block(pool) for _ in range(20)]

    with ThreadPoolExecutor(8) as threads:
        held = [array for arrays in threads.map(work, range(8)) for array in arrays]
    assert len({address(array) for array in held}) == 160


def test_two_pools_share_no_memory() -> None:
    one, other = BufferPool(), BufferPool()
    before = address(block(one))
    held = block(one)
    assert address(block(other)) != before
    del held
