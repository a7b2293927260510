"""Talking SQL to the warehouse.

`opening` finds the cluster and its password and chooses between two ways behind one interface: `direct`
(psycopg2, needs a network path) and `data_api` (HTTPS, needs none). `schema` and `migrations` keep the
tables, `users` the loader's database user.
"""

from __future__ import annotations

from txnpipe.warehouse.interface import Result, Statement, Warehouse, WarehouseError
from txnpipe.warehouse.opening import open_warehouse

__all__ = ["Result", "Statement", "Warehouse", "WarehouseError", "open_warehouse"]
