"""labsys: markerless multi-camera motion capture for treadmill running, with its measurement error."""

__version__ = "0.1.0"
