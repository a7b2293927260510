"""The local cloud's Redshift.

moto keeps what Redshift's control plane knows of clusters; `moto_hooks` adds what moto lacks and `clusters`
puts a real PostgreSQL behind each cluster. `serverless` is Redshift Serverless, `data_api` the Redshift Data
API over the same PostgreSQL servers. `part` is all of it as a part of the daemon.
"""
