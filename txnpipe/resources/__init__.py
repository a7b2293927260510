"""The control plane's vocabulary: one module per kind of AWS resource that a pipeline owns.

Every kind follows the contract in `resource.py`. A resource object knows its deterministic name and what it
requires; `desired()` says what it should look like as a frozen dataclass, `read()` what it looks like now in
the same shape, and `create`, `update`, `settle` and `delete` make the difference. Comparing the two shapes is
the same plain function for all (`difference.py`), so a plan is field-level without any kind doing anything.

Truth lives in AWS. Nothing here remembers anything between two runs: a resource is found by its name, proven
ours by the tag `txnpipe:pipeline`, and whatever a killed run left half done shows up as a difference (a field
that is not set yet) or as not ready (a status that is still changing), which the next run completes.

What a resource cannot know before another one exists (an endpoint's host, a random id) is KNOWN_AFTER_APPLY.
`txnpipe.deploy` orders the resources, plans, applies and tears down; it knows no kind by name.
"""
