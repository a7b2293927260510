"""Synthetic transactions, real input, and the sender that pushes both into the stream.

`manifest` says what a run is, `generator` computes any event of it, `spool` keeps real input, `runs` is where
all of that lives in the pipeline's bucket, `claims` lets one process at a time work on it, `dispatch` decides
what to send next, `sender` sends it.
"""
