"""Stateful crops go on from call to call and start again with every pass; stateless ones do not."""

import tensorflow as tf

image = tf.reshape(tf.range(64 * 64 * 3), (64, 64, 3))  # every value once: a crop's first tells all
size = (32, 32, 3)


def stateful(_=None):
    return tf.image.random_crop(image, size, seed=7)[0, 0, 0]


def stateless(number):
    return tf.image.stateless_random_crop(image, size, seed=(7, number))[0, 0, 0]


def read(crops):
    return [int(crop) for crop in crops]


def same(first, second):
    return "same" if first == second else "different"


tf.random.set_seed(1)
straight = read(stateful() for _ in range(8))
tf.random.set_seed(1)
stateful()
print("stateful, after one more call:       ", same(straight, read(stateful() for _ in range(8))))
crops = {int(stateless(3)) for _ in range(1000)}
print("stateless, 1,000 calls with one seed:", len(crops), "different crop")

images = tf.data.Dataset.range(50)
once = images.map(stateful)
print("stateful, the next `for` loop:       ", same(read(once), read(once)))
twice = read(once.repeat(2))
print("stateful, second pass of repeat(2):  ", same(twice[:50], twice[50:]))
tail = read(images.skip(10).map(stateful))
print("stateful, started at image 10:       ", same(read(once)[10:], tail))
crops = images.map(stateless)
tail = read(images.skip(10).map(stateless))
print("stateless, started at image 10:      ", same(read(crops)[10:], tail))

difference = tf.constant([[0, 255], [255, 0]]) - tf.constant([[255, 0], [0, 255]])
print("sum of the differences of two different images:", int(tf.reduce_sum(difference)))
