"""TFRecord files and tf.train.Example messages; nothing here knows of images."""
