"""Records copied as they are, from the shards of a dataset into others."""
