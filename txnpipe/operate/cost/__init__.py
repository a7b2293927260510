"""What a pipeline costs on AWS, from its settings alone: no account is asked.

prices.yaml       what AWS asks for each thing, dated, with sources; `prices` loads it
footprint         what of a pipeline costs money: shards, nodes, KPUs, zones, …; made from the settings
standing          what it costs while nothing flows
traffic           what flowing records add
estimate          the two together
"""
