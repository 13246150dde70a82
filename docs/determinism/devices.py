"""The same seeds on every device and compiler that this machine has."""

import numpy as np
import tensorflow as tf

from tfrec_cli.crops import random_offsets

image = tf.reshape(tf.range(64 * 64 * 3), (64, 64, 3))
rows = tf.reshape(tf.random.stateless_uniform([1_000_000], seed=(1, 2)), (100, 10_000))


def numbers(alg):
    return lambda: tf.random.stateless_uniform([1000], (1, 2), alg=alg)


def crops():
    return [tf.image.stateless_random_crop(image, (32, 32, 3), (42, key)) for key in range(20)]


def flips():
    return [tf.image.stateless_random_flip_left_right(image, (42, key)) for key in range(20)]


works = {
    "stateless_uniform(alg='philox')": numbers("philox"),
    "stateless_uniform(), which is alg='auto_select'": numbers("auto_select"),
    "20 x stateless_random_crop()": crops,
    "20 x stateless_random_flip_left_right()": flips,
    "100 sums of 10,000 numbers": lambda: tf.reduce_sum(rows, axis=1),
}
ways = {
    "CPU, tf.function": (tf.function, "CPU:0"),
    "CPU, jit_compile=True": (lambda work: tf.function(work, jit_compile=True), "CPU:0"),
}
promised = " ".join(tf.random.stateless_uniform.__doc__.split())
for promise in (
    "consistent across multiple runs on the same hardware (and between CPU and GPU), but may "
    "change between versions of TensorFlow or on non-CPU/GPU hardware",
    'with `"auto_select"`, the outputs of this function may change when it is running on a '
    "different device",
):
    print(f"promised: {promise}" if promise in promised else "not promised any more")

gpus = tf.config.list_logical_devices("GPU")
print("GPUs found:", len(gpus))
for gpu in gpus:
    ways[f"{gpu.name}, eager"] = (lambda work: work, gpu.name)
    ways[f"{gpu.name}, jit_compile=True"] = (ways["CPU, jit_compile=True"][0], gpu.name)

for name, work in works.items():
    with tf.device("CPU:0"):
        expected = work()
    print(f"{name}, against the CPU in eager mode")
    for way, (wrap, device) in ways.items():
        with tf.device(device):
            found = wrap(work)()
        equal = bool(tf.reduce_all(tf.equal(expected, found)))
        print(f"  {way + ':':24}{'bit for bit the same' if equal else 'different'}")

drawn = [
    tf.random.stateless_uniform([3], (42, key), 0, tf.int32.max, tf.int32, "philox")[:2]
    for key in range(500)
]
own = random_offsets(seed=42, epoch=0, keys=np.arange(500))
print("500 keys: tfrec's Philox in NumPy, against stateless_uniform(alg='philox')")
print(
    f"  {'CPU, NumPy:':24}{'bit for bit the same' if np.array_equal(drawn, own) else 'different'}"
)
