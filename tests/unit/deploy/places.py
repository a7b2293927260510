"""Where the account of the deploy tests is."""

from __future__ import annotations

ACCOUNT = "123456789012"
REGION = "us-east-1"
