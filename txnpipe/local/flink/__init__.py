"""Managed Flink on this machine: the real Flink in a JVM, behind the API of Kinesis Analytics V2.

`service` answers the API, `applications` is its state machine, `state` keeps it on disk, `supervisor` keeps
a running application's job alive, `jvm` starts Flink and drives it, `connector/` is Flink's Kinesis
connector (source and built jar).
"""
