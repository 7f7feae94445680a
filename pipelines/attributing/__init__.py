"""Why a trial's 3D is bad: which camera and landmark, and what of 2D, sync, calibration and triangulation."""
