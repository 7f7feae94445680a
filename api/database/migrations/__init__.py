"""Migrations of the index and of what the database owns, shipped with the package.

`HEAD` is the newest revision; a test compares it with them.
"""

HEAD = "0006"
