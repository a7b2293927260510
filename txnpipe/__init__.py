"""txnpipe operates a real-time transaction pipeline: create, feed, prove, scale, watch, remove."""

__version__ = "0.1.0"
