"""Records copied unchanged from the shards of a dataset into others."""
