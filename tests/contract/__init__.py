"""Contract: what must come out, byte for byte, whatever becomes of the code."""
