"""What a calibration is worth, for machines and for people: JSON and pages."""
