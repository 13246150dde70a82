"""The checks of `verify`, from cheap to expensive."""
