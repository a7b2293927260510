"""Redshift Serverless: namespaces (data and administrator) and workgroups (compute and endpoint).

`store` keeps what is known on disk, `warehouses` is the state machine with a PostgreSQL per namespace,
`checks` holds what is refused, `limits` keeps usage limits and tags, `service` speaks the API.
"""
