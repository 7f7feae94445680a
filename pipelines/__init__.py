"""The story of a trial: what is imported, in which order the stages run, and what is kept."""
