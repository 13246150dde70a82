"""Global seeds mean one thing in eager code and another in a tf.function; seed pairs the same."""

import random

import tensorflow as tf


def plain():
    return tf.random.uniform([])


def after_another():
    tf.random.uniform([])
    return tf.random.uniform([])


def with_seed():
    return tf.random.uniform([], seed=7)


def stateless():
    return tf.random.stateless_uniform([], seed=(1, 7))


def draw(function):
    """Return what three calls give after the global seed is set."""
    tf.random.set_seed(1)
    return [float(function()) for _ in range(3)]


def same(first, second):
    return "same" if first == second else "different"


print("eager against tf.function, after tf.random.set_seed(1)")
print("  uniform():              ", same(draw(plain), draw(tf.function(plain))))
print("  uniform(seed=7):        ", same(draw(with_seed), draw(tf.function(with_seed))))
print("  stateless_uniform(seed):", same(draw(stateless), draw(tf.function(stateless))))

print("in a tf.function")
alone, after = draw(tf.function(plain)), draw(tf.function(after_another))
print("  after another random op:     ", same(alone, after))
old, new = tf.function(with_seed), tf.function(with_seed)
tf.random.set_seed(1)
first, second = [float(old()), float(old())], [float(new()), float(new())]
print("  two tf.functions of one body:", same(first, second))
python = tf.function(lambda: tf.constant(random.random()))
print(
    "  Python's random, 100 calls:  ",
    len({float(python()) for _ in range(100)}),
    "different number",
)
