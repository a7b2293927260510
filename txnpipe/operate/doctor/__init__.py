"""Whether this machine and this account can run the pipeline, found out before anything is made.

identity      who we are there, and whether the clocks agree
regions       whether the region is there and enabled
permissions   whether we may do what the commands do
quotas        whether the account has room for it
placement     VPC, subnets, zones, the warehouse's nodes
names         whether the names are free, or ours
code          what the zips are made of: connector, psycopg2
machine       this machine: Python, the cache
account       all of them, for one account

Everything here only reads. The local cloud's own checks are in txnpipe/local/doctor.py.
"""
