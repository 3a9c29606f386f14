"""Batch inference: the same three steps without a server, for as many rows as there are.

    inputs → parts → chunks of rows → prepare, execute, output → lines → shards

`source` reads chunks, `answering` makes lines of them, `job` overlaps the two and keeps the order,
and `shards` writes them, each shard whole or not at all. `beam` does the same with the first two on
as many machines as there are.
"""
