"""`tfrec` compared with the usual way, with limits, and with other packages."""

CROP_PX = 128
BATCH = 32
