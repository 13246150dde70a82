"""What `verify` checks, from cheap to dear."""
