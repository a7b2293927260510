"""Talking SQL to the warehouse.

`finding` asks Redshift where the warehouse is, a cluster or a serverless workgroup; `opening` chooses between
two ways there behind one interface: `direct` (psycopg2, needs a network path) and `data_api` (HTTPS, needs
none). `schema` and `migrations` keep the tables, `users` the loader's database user.
"""

from __future__ import annotations

from txnpipe.warehouse.interface import Result, Statement, Warehouse, WarehouseError
from txnpipe.warehouse.opening import open_warehouse

__all__ = ["Result", "Statement", "Warehouse", "WarehouseError", "open_warehouse"]
