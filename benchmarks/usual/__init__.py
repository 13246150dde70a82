"""What people write who have no tool: one process, Pillow and TensorFlow."""
