"""Values only: what the lab measures and what it measures with. Imports numpy and scipy, nothing heavier."""
