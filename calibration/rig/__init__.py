"""From board corners to cameras: lenses, poses, and what would make them wrong."""
