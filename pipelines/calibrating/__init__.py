"""The story of a calibration: takes and videos in, a stored, placed and checked rig out."""
