"""The crash campaigns, short; and that the power cut finds a store that does not sync."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CAMPAIGN = PROJECT / "scripts" / "campaign"
WITHOUT_SYNCS = """
import sys, power
from pathlib import Path
power.ROUNDS = 40
after = power.remains
def remains(base, until):
    kept = power.JOURNAL[:]
    power.JOURNAL[:] = [step for step in kept[:until] if step.what != "sync"]
    files = after(base, len(power.JOURNAL))
    power.JOURNAL[:] = kept
    return files
power.remains = remains
sys.exit(int(power.campaign(Path(sys.argv[1]), 8).good))
"""


def test_a_short_campaign_finds_nothing():
    pytest.importorskip("apsw")
    command = [sys.executable, str(CAMPAIGN / "main.py"), "--kills", "1", "--power", "3", "--flips", "3"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rpartition("| fault |")[2].count("\n| ") == 3


def test_a_store_that_does_not_sync_would_be_found(tmp_path):
    pytest.importorskip("apsw")
    command = [sys.executable, "-c", WITHOUT_SYNCS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CAMPAIGN, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
