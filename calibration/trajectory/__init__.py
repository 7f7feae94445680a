"""From pixels to points over a whole trial at once."""
