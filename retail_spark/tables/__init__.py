"""The contracts of all tables. Any domain may read any table."""
