"""What runs inside Lambda: the loader and the notifier, and what the two share.

`records` reads the event of a Kinesis event source mapping, `alerts` is the contract of one alert, `log`
writes the one line of JSON that each invocation leaves behind, `metrics` lets CloudWatch measure by it.
Nothing here imports more of txnpipe than `transactions`: `txnpipe.packaging.lambda_zip` packs exactly these
files.
"""
