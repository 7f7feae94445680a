"""From 3D landmarks to angles, strides and metrics. Pure: opens no file, knows no storage."""
