"""Cameras to a take on disk. So far: what a rig is (hardware.py); recording follows."""
