"""What an operator of one pipeline may do: the least that the calls of this program need.

`table` says for every operation that the program calls which IAM actions it needs and where (`scopes`);
`documents` makes policy documents of them. A test compares the table with the calls in the source, and
evaluates the recorded calls of setup, scale, teardown and the rest against the printed policy.
"""

from txnpipe.operate.permissions.documents import (
    MANAGED_POLICY_CHARACTERS,
    Granted,
    operator_actions,
    policy_documents,
    whole_document,
)

__all__ = ["MANAGED_POLICY_CHARACTERS", "Granted", "operator_actions", "policy_documents", "whole_document"]
