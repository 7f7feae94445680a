"""Work that takes minutes: rows that no crash loses, workers that claim them, a process for each."""
