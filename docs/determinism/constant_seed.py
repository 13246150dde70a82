"""A stateless crop is a function of its seed: one seed for all images is one crop for all."""

import numpy as np
import tensorflow as tf

from tfrec_cli.crops import random_boxes

image = tf.reshape(tf.range(64 * 64 * 3), (64, 64, 3))


def crop(seed):
    return int(tf.image.stateless_random_crop(image, (32, 32, 3), seed=seed)[0, 0, 0])


def crops(seeds):
    return [crop(seed) for seed in seeds]


images = range(500)
print("number of different crops of 500 images (1,089 are possible)")
print("  seed=(42, 0):    ", len(set(crops((42, 0) for _ in images))))
print("  seed=(42, image):", len(set(crops((42, image) for image in images))))

first = crops((0, 42 + image) for image in images)
second = crops((0, 43 + image) for image in images)
print("seed + image: images whose crop with seed 42 is the crop of the previous image", end=" ")
print("with seed 43:", sum(a == b for a, b in zip(first[1:], second, strict=False)))

gray = tf.constant([[[0.4], [0.6]]])


def changes(flip_key, brightness_key):
    flipped = tf.image.stateless_random_flip_left_right(gray, seed=(42, flip_key))
    changed = tf.image.stateless_random_brightness(gray, 0.2, seed=(42, brightness_key))
    return bool(flipped[0, 0, 0] > 0.5), bool(changed[0, 0, 0] < 0.4)


for name, other in (("with the same seed", 0), ("with different seeds", 2**56)):
    pairs = [changes(image, image + other) for image in images]
    flipped, darker = (sum(column) for column in zip(*pairs, strict=True))
    both = sum(flip and dark for flip, dark in pairs)
    print(f"flip and brightness {name}: {flipped} flipped, {darker} darker, {both} both")

SEED, EPOCH = 42, 3
boxes = random_boxes([(64, 64)] * 500, (32, 32), seed=SEED, epoch=EPOCH, keys=np.arange(500))
by_hand = crops((SEED + EPOCH * 2**32, key) for key in images)
same = sum(
    int(image[top, left, 0]) == one for (top, left, *_), one in zip(boxes, by_hand, strict=True)
)
print("tfrec's crops that equal those of stateless_random_crop", end=" ")
print("with seed=(seed + epoch * 2**32, key):", same, "of 500")
