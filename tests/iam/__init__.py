"""IAM for tests: a policy evaluator, and what each AWS call asks of a policy."""
