"""How many shards a stream has: the path that AWS allows to another number, and walking it."""
