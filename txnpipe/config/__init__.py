"""Typed settings and where each value came from: flag > environment > file > default."""

from txnpipe.config.settings import Settings as Settings
