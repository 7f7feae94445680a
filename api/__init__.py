"""The doors: HTTP and terminal."""
