"""The control plane against an account in memory."""

import pytest

pytest.register_assert_rewrite("tests.unit.deploy.scenarios")
