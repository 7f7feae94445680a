"""Migrations of the index, shipped with the package. `HEAD` is the newest revision; a test compares it with them."""

HEAD = "0002"
