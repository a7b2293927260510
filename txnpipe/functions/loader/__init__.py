"""The loader: writes both streams into the warehouse, each record once.

    entry       the handler: settings from the environment, warm state, the log line
    decode      records → rows of a table, and rejects with their reason
    settle      rows against what is stored → new rows, repeats, reused ids
    sql         the statements, valid on Redshift and PostgreSQL alike
    insert      that of the new rows, for which PostgreSQL has a faster form
    store       one batch in one transaction, two round trips
    connection  the warm connection and the secret
    loader      a batch through all of it, and which errors are tried again

Delivery is at least once: an event source mapping hands over a batch again after a crash, a time-out or an
error. The tables hold each transaction and each reject once all the same, because asking what is stored and
storing happen in one transaction that locks `loader_mutex` first. Any error that is not tried again here is
raised: the mapping keeps the batch and retries. A bad record is never an error; it becomes a row of
`rejected_transactions` in the commit of its batch.
"""

from txnpipe.functions.loader.entry import handler as handler
