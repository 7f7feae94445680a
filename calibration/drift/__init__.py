"""Whether a calibration still holds, which camera moved, and its pose anew."""
