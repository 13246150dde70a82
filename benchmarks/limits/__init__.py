"""What no program that does the work could be faster than, by much."""
