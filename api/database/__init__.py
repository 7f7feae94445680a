"""The database: its tables, the connection to them, migrations, and the views that other programs may read."""
