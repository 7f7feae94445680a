"""Bringing recordings into the lab folder."""
