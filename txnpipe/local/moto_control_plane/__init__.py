"""The control plane: moto, kept on disk, one call at a time.

moto answers for IAM, S3, SNS, SQS, Secrets Manager, EC2, CloudWatch, Logs, KMS, STS and the control planes of
Lambda and Redshift. `application` runs its web application, `gate` lets one thread at a time into it,
`persistence` keeps what it knows, `hooks` are the places where we reach into it.
"""
