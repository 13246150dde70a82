"""Counts, describes and draws what record files of any program contain."""
