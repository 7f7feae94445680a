"""From pixels of several cameras to points, frame by frame."""
