"""Public recordings that labsys knows: where they come from, what their files must be, and where they lie here."""
