"""The control plane: moto, kept on disk, one call at a time.

moto answers for IAM, S3, SNS, SQS, Secrets Manager, EC2's networks, CloudWatch, Logs, KMS, STS and the
control planes of Lambda and Redshift. A request takes this way:

    application  which operation is it (operations), then into the gate
    gate         lets one thread at a time into moto
    backends     watches which of moto's backends the call looks up
    persistence  saves those that changed, before the answer: pickling makes them bytes, trimming leaves out
                 what nobody needs, contents keeps S3 objects and function code in files of their own

`hooks` are the places where we reach into moto, each held by a test; `tags` shows the tagging API what moto
does not hold.
"""
