"""Migrations of the index, shipped with the package. `HEAD` is the newest revision; a test holds it equal to the scripts."""

HEAD = "0001"
