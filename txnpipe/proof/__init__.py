"""The proof that a run arrived: every row once and unchanged, every alert that the rules ask for.

`expected` says what a run should have stored, `checksum` condenses rows alike in Python and in SQL, `rows`
and `alerts` compare, `latency` measures, `settling` waits, `verify` puts it together, `follow` traces one
record.
"""
