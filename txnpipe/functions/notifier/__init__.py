"""The notifier: publishes each alert of the alert stream to the SNS topic.

    entry    the handler: topic and client from the environment, warm state, the log line
    message  one alert → subject, body and attributes of one SNS message
    publish  messages → PublishBatch calls, and which alert to go on from after a failure

SNS is at least once: after a failure the event source mapping delivers from the first unpublished alert on.
Whoever must not act twice compares the attribute `alert_id`. A record that is no alert is logged and passed
over: the loader reads the same stream and keeps it in `rejected_transactions`.
"""

from txnpipe.functions.notifier.entry import handler as handler
