"""Crops: the numbers of TensorFlow's stateless functions, computed with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_cli import crops

SEED_MAX, EPOCH_MAX, KEY_MAX = 2**32 - 1, 2**31 - 1, 2**56 - 1

# All made by TensorFlow 2.21, with pair(op) = (seed + epoch * 2**32, key + op * 2**56):
# the first value of tf.image.stateless_random_crop(image, (*crop, 2), seed=pair(0)) of an image
# whose values are their own (row, column).
BOXES = [
    # picture, crop, seed, epoch, key, (top, left)
    ((10, 10), (10, 10), 0, 0, 0, (0, 0)),
    ((101, 57), (32, 16), 0, 0, 0, (53, 2)),
    ((101, 57), (32, 16), 1, 0, 0, (42, 27)),
    ((101, 57), (32, 16), 0, 1, 0, (52, 28)),
    ((101, 57), (32, 16), 0, 0, 1, (2, 32)),
    ((375, 500), (224, 224), 42, 0, 0x0123456789ABCD, (135, 209)),
    ((375, 500), (224, 224), 42, 7, 0x0123456789ABCD, (57, 272)),
    ((1000, 3), (1, 1), SEED_MAX, EPOCH_MAX, KEY_MAX, (712, 1)),
    ((300, 400), (128, 256), 2**31, 2**30, 2**55, (117, 20)),
]
# Whether tf.image.stateless_random_flip_left_right(image, seed=pair(1)) turned the image, and
# what tf.image.stateless_random_brightness(image, 0.25, seed=pair(2)) added to float32 zeros.
DRAWS = [
    # seed, epoch, key, flipped, added
    (0, 0, 0, False, "-0x1.f33da80000000p-3"),
    (1, 0, 0, False, "-0x1.2717700000000p-3"),
    (0, 1, 0, True, "0x1.a021e00000000p-5"),
    (0, 0, 1, False, "0x1.5102980000000p-3"),
    (42, 3, 0x0123456789ABCD, True, "0x1.4dc5380000000p-3"),
    (SEED_MAX, EPOCH_MAX, KEY_MAX, True, "-0x1.964f000000000p-4"),
]
# The key of the permutation is tf.random.stateless_uniform([4], seed=pair(3), minval=None,
# maxval=None, dtype=tf.uint32, alg="philox") with key = 0; see test_permutation.by_hand.
ORDERS = [
    (0, 0, [7, 4, 0, 8, 5, 2, 6, 9, 1, 3]),
    (42, 0, [3, 0, 7, 8, 1, 4, 5, 9, 6, 2]),
    (42, 1, [5, 1, 4, 0, 6, 2, 8, 3, 9, 7]),
    (SEED_MAX, EPOCH_MAX, [4, 7, 8, 2, 3, 5, 1, 6, 0, 9]),
]

# Of some views the seed pair tf.random.experimental.stateless_fold_in(pair(16), view) with an int64
# view, the box of 224 x 224 in 375 x 500 pixels, the flip and the brightness as above.
VIEWS = [
    # seed, epoch, key, view, pair, (top, left), flipped, added
    (0, 0, 0, 1, -4128464594650059432, (132, 242), False, "-0x1.5297080000000p-3"),
    (0, 0, 0, 2, -4128464594650059432, (12, 180), False, "-0x1.9d1c900000000p-4"),
    (42, 7, 0x0123456789ABCD, 1, 8707686090133956406, (27, 229), False, "-0x1.105de00000000p-5"),
    (42, 7, 0x0123456789ABCD, 9, 8707686090133956406, (126, 128), True, "0x1.00bec80000000p-3"),
    (SEED_MAX, EPOCH_MAX, KEY_MAX, 1, 4708249744504676541, (78, 45), False, "0x1.fedfd80000000p-3"),
]

Draw = tuple[int, int, int]

fixed = settings(deadline=None, derandomize=True)

seeds = st.integers(0, SEED_MAX)
epochs = st.integers(0, EPOCH_MAX)
keys = st.integers(0, KEY_MAX)


def many_draws(count: int) -> list[Draw]:
    """Return the corners of (seed, epoch, key), then ``count`` from everywhere between them."""
    corners = [
        (seed, epoch, key)
        for seed in (0, 2**31, SEED_MAX)
        for epoch in (0, EPOCH_MAX)
        for key in (0, 2**32 - 1, 2**32, KEY_MAX)
    ]
    generator = np.random.default_rng(20)
    limits = np.array([2**32, 2**31, 2**56])
    return corners + [tuple(row) for row in generator.integers(limits, size=(count, 3)).tolist()]


def tensor_pair(draw: Draw, op: int) -> Any:
    return tf.constant(crops.seed_pair(*draw, op), tf.int64)


# Against TensorFlow


def test_boxes_equal_those_of_tensorflow() -> None:
    """tf.image.stateless_random_crop of images whose values are their own coordinates."""
    generator = np.random.default_rng(21)
    ours, theirs = [], []
    for seed, epoch, key in many_draws(300):
        size = generator.integers(1, 120, size=2)
        crop = tuple(generator.integers(1, size + 1).tolist())
        rows_and_columns = np.stack(np.indices(size, np.int32), axis=-1)
        cut = tf.image.stateless_random_crop(
            rows_and_columns, (*crop, 2), seed=tensor_pair((seed, epoch, key), crops.CROP)
        )
        theirs.append([*cut[0, 0].numpy().tolist(), *crop])
        ours += crops.random_boxes([size], crop, seed=seed, epoch=epoch, keys=[key]).tolist()
    assert ours == theirs


def test_flips_equal_those_of_tensorflow() -> None:
    image = tf.constant([[[0.0], [1.0]]])
    ours, theirs = [], []
    for seed, epoch, key in many_draws(300):
        pair = tensor_pair((seed, epoch, key), crops.FLIP)
        theirs.append(bool(tf.image.stateless_random_flip_left_right(image, pair)[0, 0, 0]))
        ours += crops.random_flips(seed=seed, epoch=epoch, keys=[key]).tolist()
    assert ours == theirs


def test_brightness_equals_that_of_tensorflow() -> None:
    """To the last bit of a float32."""
    generator = np.random.default_rng(22)
    image = tf.zeros((1, 1, 1))
    ours, theirs = [], []
    for seed, epoch, key in many_draws(300):
        most = generator.uniform(0.001, 1.0)
        pair = tensor_pair((seed, epoch, key), crops.BRIGHTNESS)
        theirs += tf.image.stateless_random_brightness(image, most, pair).numpy().ravel().tolist()
        ours += crops.random_brightness(most, seed=seed, epoch=epoch, keys=[key]).tolist()
    assert ours == theirs


@pytest.mark.parametrize("op", [crops.CROP, crops.FLIP, crops.BRIGHTNESS, crops.ORDER])
def test_words_equal_those_of_tensorflow(op: int) -> None:
    ours, theirs = [], []
    for seed, epoch, key in many_draws(50):
        words = tf.random.stateless_uniform(
            [4],
            tensor_pair((seed, epoch, key), op),
            minval=None,
            maxval=None,
            dtype=tf.uint32,
            alg="philox",
        )
        theirs.append(words.numpy().tolist())
        ours += crops.draw_words(seed, epoch, [key], op).tolist()
    assert ours == theirs


@pytest.mark.parametrize("op", [crops.CROP, crops.FLIP, crops.BRIGHTNESS, crops.USER, 127])
def test_seed_pairs_of_views_equal_those_of_tensorflow(op: int) -> None:
    ours, theirs = [], []
    for view, draw in enumerate(many_draws(50), 1):
        pair = tensor_pair(draw, op)
        folded = tf.random.experimental.stateless_fold_in(pair, tf.constant(view, tf.int64))
        theirs.append(tuple(folded.numpy().tolist()))
        ours.append(crops.seed_pair(*draw, op, view))
    assert ours == theirs


def test_a_crop_computed_by_hand_is_the_same() -> None:
    """As the documentation says, with plain Python integers."""
    image = np.stack(np.indices((60, 50), np.int32), axis=-1)
    cut = tf.image.stateless_random_crop(image, (32, 16, 2), seed=(42 + 7 * 2**32, KEY_MAX))
    box = crops.random_boxes([(60, 50)], (32, 16), seed=42, epoch=7, keys=[KEY_MAX])
    assert cut[0, 0].numpy().tolist() == box[0, :2].tolist()


# Without TensorFlow


@pytest.mark.parametrize(("size", "crop", "seed", "epoch", "key", "offset"), BOXES)
def test_a_box_equals_the_golden_value(
    size: tuple[int, int],
    crop: tuple[int, int],
    seed: int,
    epoch: int,
    key: int,
    offset: tuple[int, int],
) -> None:
    box = crops.random_boxes([size], crop, seed=seed, epoch=epoch, keys=[key])
    assert box.tolist() == [[*offset, *crop]]


@pytest.mark.parametrize(("seed", "epoch", "key", "flipped", "_added"), DRAWS)
def test_a_flip_equals_the_golden_value(
    seed: int, epoch: int, key: int, flipped: bool, _added: str
) -> None:
    assert crops.random_flips(seed=seed, epoch=epoch, keys=[key]).tolist() == [flipped]


@pytest.mark.parametrize(("seed", "epoch", "key", "_flipped", "added"), DRAWS)
def test_brightness_equals_the_golden_value(
    seed: int, epoch: int, key: int, _flipped: bool, added: str
) -> None:
    brightness = crops.random_brightness(0.25, seed=seed, epoch=epoch, keys=[key])
    assert [value.hex() for value in brightness.tolist()] == [added]


@pytest.mark.parametrize(
    ("seed", "epoch", "key", "view", "first", "offset", "flipped", "added"), VIEWS
)
def test_a_view_equals_the_golden_values(
    seed: int,
    epoch: int,
    key: int,
    view: int,
    first: int,
    offset: tuple[int, int],
    flipped: bool,
    added: str,
) -> None:
    drawn: dict[str, Any] = {"seed": seed, "epoch": epoch, "keys": [key], "view": view}
    assert crops.user_seeds(**drawn).tolist() == [[first, view]]
    assert crops.seed_pair(seed, epoch, key, crops.USER, view) == (first, view)
    assert crops.random_boxes([(375, 500)], (224, 224), **drawn).tolist() == [[*offset, 224, 224]]
    assert crops.random_flips(**drawn).tolist() == [flipped]
    assert [one.hex() for one in crops.random_brightness(0.25, **drawn).tolist()] == [added]


@pytest.mark.parametrize(("seed", "epoch", "expected"), ORDERS)
def test_the_order_equals_the_golden_value(seed: int, epoch: int, expected: list[int]) -> None:
    assert crops.shuffled(range(10), 10, seed=seed, epoch=epoch).tolist() == expected


# Boxes


@pytest.mark.parametrize(
    ("size", "crop", "box"),
    [
        ((10, 10), (10, 10), (0, 0, 10, 10)),
        ((10, 10), (9, 9), (0, 0, 9, 9)),
        ((11, 10), (9, 9), (1, 0, 9, 9)),
        ((10, 10), (7, 7), (1, 1, 7, 7)),
        ((101, 101), (50, 48), (25, 26, 50, 48)),
        ((375, 500), (128, 128), (123, 186, 128, 128)),
        ((500, 375), (224, 112), (138, 131, 224, 112)),
        ((1, 9), (1, 1), (0, 4, 1, 1)),
    ],
)
def test_a_center_box_is_in_the_middle(
    size: tuple[int, int], crop: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    assert crops.center_box(*size, crop) == box


@fixed
@given(st.data(), seeds, epochs, keys)
def test_a_box_lies_inside_its_image(data: Any, seed: int, epoch: int, key: int) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 2**20), st.integers(1, 2**20)))
    crop = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    ((top, left, *size),) = crops.random_boxes(
        [(height, width)], crop, seed=seed, epoch=epoch, keys=[key]
    ).tolist()
    assert (tuple(size), 0 <= top <= height - crop[0], 0 <= left <= width - crop[1]) == (
        crop,
        True,
        True,
    )


def test_a_box_does_not_depend_on_the_other_records() -> None:
    """Whatever else is in the batch."""
    generator = np.random.default_rng(23)
    sizes, names = generator.integers(8, 99, (50, 2)), generator.integers(2**56, size=50)
    together = crops.random_boxes(sizes, (8, 8), seed=42, epoch=1, keys=names)
    alone = [
        crops.random_boxes([size], (8, 8), seed=42, epoch=1, keys=[key])[0].tolist()
        for size, key in zip(sizes, names, strict=True)
    ]
    assert together.tolist() == alone


def test_no_records_give_no_boxes() -> None:
    assert crops.random_boxes([], (8, 8), seed=0, epoch=0, keys=[]).shape == (0, 4)


def test_every_offset_is_drawn() -> None:
    """Both ends of the range too."""
    sizes = np.full((500, 2), 12)
    boxes = crops.random_boxes(sizes, (8, 10), seed=0, epoch=0, keys=range(500))
    assert {tuple(box) for box in boxes[:, :2].tolist()} == {
        (top, left) for top in range(5) for left in range(3)
    }


# Seeds


@pytest.mark.parametrize(
    ("seed", "epoch", "message"),
    [
        (-1, 0, "seed: found -1, expected 0 to 4294967295"),
        (2**32, 0, "seed: found 4294967296, expected 0 to 4294967295"),
        (0, -1, "epoch: found -1, expected 0 to 2147483647"),
        (0, 2**31, "epoch: found 2147483648, expected 0 to 2147483647"),
    ],
)
@pytest.mark.parametrize(
    "draw",
    [
        lambda **at: crops.random_boxes([(9, 9)], (8, 8), keys=[0], **at),
        lambda **at: crops.random_flips(keys=[0], **at),
        lambda **at: crops.random_brightness(0.1, keys=[0], **at),
        lambda **at: crops.shuffled([0], 9, **at),
        lambda **at: crops.check_seed(**at),
    ],
    ids=["boxes", "flips", "brightness", "order", "check"],
)
def test_seed_and_epoch_have_a_range(draw: Any, seed: int, epoch: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        draw(seed=seed, epoch=epoch)


@pytest.mark.parametrize("key", [-1, KEY_MAX + 1, 2**63 - 1])
def test_a_key_out_of_range_is_refused(key: int) -> None:
    """Its highest bits tell crops from flips."""
    message = f"found a key out of range, expected 0 to {KEY_MAX}"
    with pytest.raises(ValueError, match=message):
        crops.random_offsets(seed=1, epoch=0, keys=[5, key])


def test_the_ends_of_the_range_are_in_it() -> None:
    for seed, epoch in ((0, 0), (SEED_MAX, EPOCH_MAX)):
        crops.check_seed(seed, epoch)


def test_a_seed_pair_has_epoch_and_draw_in_the_high_bits() -> None:
    assert crops.seed_pair(42, 7, 5, crops.BRIGHTNESS) == (42 + 7 * 2**32, 5 + 2 * 2**56)


def test_a_seed_pair_fits_int64() -> None:
    pair = crops.seed_pair(SEED_MAX, EPOCH_MAX, KEY_MAX, crops.ORDER)
    assert pair == (2**63 - 1, 2**58 - 1)


@fixed
@given(seeds, epochs, keys)
def test_each_operation_draws_its_own_words(seed: int, epoch: int, key: int) -> None:
    words = {tuple(crops.draw_words(seed, epoch, [key], op)[0].tolist()) for op in range(4)}
    assert len(words) == 4


@fixed
@given(seeds, epochs, keys)
def test_each_view_draws_its_own_words(seed: int, epoch: int, key: int) -> None:
    words = {
        tuple(crops.draw_words(seed, epoch, [key], op, view)[0].tolist())
        for op in range(3)
        for view in range(4)
    }
    assert len(words) == 12


def test_a_view_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="found view -1, expected 0 or more"):
        crops.random_flips(seed=0, epoch=0, keys=[0], view=-1)


# Order


@fixed
@given(st.integers(0, 3000), seeds, epochs, st.integers(0, 5))
def test_the_order_is_a_permutation(count: int, seed: int, epoch: int, part: int) -> None:
    drawn: dict[str, int] = {"seed": seed, "epoch": epoch, "part": part}
    order = crops.shuffled(range(count), count, **drawn)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))
    assert crops.shuffled(order, count, inverse=True, **drawn).tolist() == list(range(count))


def test_the_order_differs_between_seeds_epochs_and_parts() -> None:
    orders = {
        tuple(crops.shuffled(range(50), 50, seed=seed, epoch=epoch, part=part).tolist())
        for seed in range(10)
        for epoch in range(10)
        for part in range(4)
    }
    assert len(orders) == 400


# Places and padding


def test_a_place_is_that_of_the_box() -> None:
    sizes = np.array([(9, 7), (7, 9), (20, 33)])
    for seed in range(20):
        drawn: dict[str, Any] = {"seed": seed, "epoch": 3, "keys": [1, 2, 3]}
        boxes = crops.random_boxes(sizes, (7, 6), **drawn)
        offsets = crops.random_offsets(**drawn).tolist()
        places = [
            crops.place(size, (7, 6), "random", (top, left))
            for size, (top, left) in zip(sizes.tolist(), offsets, strict=True)
        ]
        assert places == list(map(tuple, boxes[:, :2].tolist()))


@pytest.mark.parametrize(
    ("size", "crop", "expected"),
    [((9, 8), (4, 4), (2, 2)), ((5, 4), (4, 1), (0, 1)), ((4, 4), (4, 4), (0, 0))],
)
def test_a_centre_crop_is_rounded_up_and_left(
    size: tuple[int, int], crop: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert crops.place(size, crop, "center", (77, 77)) == expected
    assert crops.center_box(*size, crop) == (*expected, *crop)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((4, 4), ((1, 2), (1, 1), (0, 0))),
        ((7, 3), ((0, 0), (1, 2), (0, 0))),
        ((9, 9), ((0, 0), (0, 0), (0, 0))),
    ],
)
def test_margins_are_wider_below_and_right(size: tuple[int, int], expected: object) -> None:
    assert crops.margins(size, (7, 6)) == expected


def test_an_image_holds_crops_up_to_its_size() -> None:
    held = [crops.holds((7, 6, 3), crop) for crop in ((7, 6), (8, 6), (7, 7), (1, 1))]
    assert held == [True, False, False, True]
