"""A dataset on disk: names of files and features, records, the manifest."""
