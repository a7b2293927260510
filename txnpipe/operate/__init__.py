"""Looking into a running pipeline: alerts, rejects, dead letters."""
