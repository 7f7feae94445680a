"""The main job shown on a runner whose truth is known, and on a public recording."""
