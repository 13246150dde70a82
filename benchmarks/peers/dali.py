"""NVIDIA DALI on the CPU, over our shards and index files: dali.py OUT."""

import sys
from pathlib import Path

from nvidia.dali import Pipeline, fn, types
from nvidia.dali import tfrecord as features

from benchmarks import BATCH, CROP_PX
from benchmarks.clock import cores, timed

shards = sorted(Path(sys.argv[1]).glob("*.tfrecord"))
pipeline = Pipeline(batch_size=BATCH, num_threads=cores(), device_id=None, seed=1)
with pipeline:
    record = fn.readers.tfrecord(
        path=[str(path) for path in shards],
        index_path=[str(path.with_suffix(".tfindex")) for path in shards],
        features={
            "image": features.FixedLenFeature([], features.string, ""),
            "label": features.FixedLenFeature([1], features.int64, -1),
        },
        name="records",
    )
    crop = fn.decoders.image_crop(
        record["image"],
        device="cpu",
        crop=(CROP_PX, CROP_PX),
        crop_pos_x=fn.random.uniform(range=(0, 1)),
        crop_pos_y=fn.random.uniform(range=(0, 1)),
    )
    pipeline.set_outputs(fn.cast(crop, dtype=types.FLOAT) / 255, record["label"])
pipeline.build()
batches = -(-pipeline.epoch_size("records") // BATCH)
timed(lambda: (len(pipeline.run()[0]) for _ in range(batches)))
