"""A supervised PostgreSQL that listens on loopback: the data plane of the local cloud's Redshift.

`binaries` finds the programs, `server` owns one data directory and the process on it, `supervisor` keeps
that process alive.
"""
