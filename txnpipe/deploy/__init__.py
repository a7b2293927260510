"""From settings to a running pipeline and back: graph, plan, apply, teardown.

Four stages, each a module with one purpose:

1. `graph` makes the resources of a pipeline out of settings, names and target, and orders them by what they
   require.
2. `plan` compares what should be with what is. It only reads, in parallel, and its answer is a value: an
   ordered list of changes with the fields that differ.
3. `apply` carries a plan out, in parallel, as far as it gets. It re-reads each resource just before it
   touches it, so that a plan that has grown old does no harm, and it keeps no record that it would have to
   trust: a run that was killed is continued by planning again.
4. `teardown` removes everything in reverse order, then sweeps: by tag and by name.

`lock` keeps two setups (or a setup and a teardown) apart, by an object in the pipeline's own bucket. The
bucket is therefore the first thing that is made and the last that goes.

A dry run is a plan that nobody applies: there is no flag inside the stages.
"""
