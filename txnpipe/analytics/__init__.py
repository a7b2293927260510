"""What runs inside Managed Flink: `main.py`, and the tables and views that `statements.sql` is made of."""
