"""`tfrec` against the usual way, against limits, and against its peers."""

CROP_PX = 128
BATCH = 32
