"""Pixels to space and back: lenses, triangulation, calibration files, solving a rig. Knows no trial and no person."""
