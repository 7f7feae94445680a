"""Flat tables for dashboards: columns, filters, pages and files."""
