"""A seed fixes the numbers that are drawn; in a parallel map not which image gets which."""

import threading
import time

import tensorflow as tf

IMAGES, PASSES = 16, 4
image = tf.reshape(tf.range(64 * 64 * 3), (64, 64, 3))
at_work, most = 0, 0
lock = threading.Lock()


def decode(number, one_pass):
    """Take as long as decoding may: now this image is slow, now that one."""
    global at_work, most
    with lock:
        at_work += 1
        most = max(most, at_work)
    time.sleep(0.01 * ((number + one_pass) % 4))
    with lock:
        at_work -= 1
    return number


def read(draw, calls, *, stateful=True):
    """Read everything PASSES times, seeded alike; return how many different results came out.

    stateful: what TensorFlow is told of decode().
    """
    global most
    most = 0
    results = set()
    for one_pass in range(PASSES):
        tf.random.set_seed(1)

        def one(number, one_pass=one_pass):
            number = tf.numpy_function(decode, [number, one_pass], tf.int64, stateful)
            return number, draw(number)

        options = tf.data.Options()
        options.threading.private_threadpool_size = 8  # on a machine of one processor too
        images = tf.data.Dataset.range(IMAGES)
        crops = images.map(one, num_parallel_calls=calls).with_options(options)
        rows = [(int(number), int(crop)) for number, crop in crops]
        assert [number for number, _ in rows] == list(range(IMAGES))
        results.add(tuple(rows))
    return len(results)


def random_crop(number):
    decoded = image + 0 * tf.cast(number, tf.int32)  # which there is only after decode()
    return tf.image.random_crop(decoded, (32, 32, 3), seed=7)[0, 0, 0]


def stateless_crop(number):
    return tf.image.stateless_random_crop(image, (32, 32, 3), seed=(7, number))[0, 0, 0]


def say(name, results):
    print(f"{name}: {'alike' if results == 1 else 'they differ'}", end=", ")
    print(f"{'one map' if most == 1 else 'several maps'} at a time")


print(f"{PASSES} passes, each after tf.random.set_seed(1)")
say("  stateful, num_parallel_calls=8 ", read(random_crop, 8))
say("  stateful, no parallel calls    ", read(random_crop, None))
say("  stateless, num_parallel_calls=8", read(stateless_crop, 8))
tf.config.experimental.enable_op_determinism()
print("with enable_op_determinism()")
say("  stateful, num_parallel_calls=8           ", read(random_crop, 8))
say("  stateless, numpy_function(stateful=True) ", read(stateless_crop, 8))
say("  stateless, numpy_function(stateful=False)", read(stateless_crop, 8, stateful=False))
