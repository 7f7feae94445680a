"""How wrong points are: what stays, repeats and fades, and what the calibration adds."""
