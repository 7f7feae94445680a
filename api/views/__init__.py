"""Results as documents in outside units, the same for terminal, HTTP, pages and reports."""
