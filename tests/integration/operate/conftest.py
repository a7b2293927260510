"""The warehouse of the proof's tests."""

from tests.integration.proof.conftest import installation as installation
from tests.integration.proof.conftest import place as place
from tests.integration.proof.conftest import place_both_ways as place_both_ways
from tests.integration.proof.conftest import tables as tables
