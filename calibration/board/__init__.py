"""The ChArUco board: its definition, its print, and its corners in pictures."""
