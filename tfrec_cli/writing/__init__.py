"""From listed sources to a committed dataset."""
