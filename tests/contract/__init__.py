"""Contract: results that must stay the same, byte for byte, when the code changes."""
