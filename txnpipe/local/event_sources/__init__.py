"""Event source mappings of the local cloud: what reads Kinesis streams and invokes functions with batches.

`service.py` is the REST API, `requests.py` checks its input, `registry.py` holds the mappings and moves them
from state to state, `store.py` keeps them and their checkpoints on disk. `poller.py` runs one mapping: a
`lane.py` per shard (several with a parallelization factor) reads records, `events.py` renders them,
`filters.py` drops what the function does not want, `delivery.py` gets a batch through the function or to the
on-failure destination (`destination.py`).
"""
