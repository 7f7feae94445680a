"""Reports of a trial and of a comparison: one content, as PDF and as HTML."""
