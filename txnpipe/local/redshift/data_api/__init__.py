"""The Redshift Data API over PostgreSQL.

`service` speaks the API, `statements` runs and remembers statements, `results` keeps their rows, `catalog`
lists what a database holds, `access` knows how to log in.
"""
