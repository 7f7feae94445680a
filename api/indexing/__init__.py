"""The lab folder as rows: what `labsys index` gathers and writes."""
