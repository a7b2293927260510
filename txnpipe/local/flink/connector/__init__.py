"""Flink's Kinesis connector for the local cloud: Java source, and the jar built from it.

It has the identifier and the options of Flink's own connector, so the same SQL runs here and on AWS. The
official jar lies in no package index, which is why this one is shipped. `build.py` makes it.
"""
