"""Copies records unchanged from the shards of a dataset into new shards."""
