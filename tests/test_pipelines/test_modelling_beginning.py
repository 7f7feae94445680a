"""A training begins with what the classifier of photographs knew: the same features for the same picture."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("deeplabcut") is None, reason="DeepLabCut is not installed (extra pose)"
    ),
    pytest.mark.timeout(1800),
]

FEATURES = Path(__file__).parent / "first_features.py"


def test_a_network_begins_with_the_classifiers_features_and_refuses_other_weights() -> None:
    outcome = subprocess.run([sys.executable, str(FEATURES)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    typical, edge_free, refusal = outcome.stdout.splitlines()[-3:]
    # Not at a picture's edge: beyond it the classifier saw grey, DeepLabCut's networks see the mean colour.
    assert float(edge_free) < 1e-4 * float(typical)
    assert "not those of" in refusal
