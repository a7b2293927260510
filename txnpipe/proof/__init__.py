"""The proof that a run arrived: every row once and unchanged, every alert that the rules ask for.

`choosing` says which runs, `expected` what a run should have stored (`generated_rows`, counted by `tally`, or
`spooled_rows`), `checksum` condenses rows alike in Python and in SQL, `rows`, `alerts` and `rejected`
compare, `restored` asks the rules about rows as they were sent, `latency` and `timeline` measure, `settling`
waits for what `watching` sees, `verify` puts it together, `report` draws it, `follow` traces one record.
"""
