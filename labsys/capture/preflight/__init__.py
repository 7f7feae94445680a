"""What is checked before a take: each check says pass, warn or fail, and how to mend it."""
