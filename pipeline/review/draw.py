"""The random order of a night's `ok` images: its beginning is a fair draw, whatever else people judge. Reads no file.

An image's place follows from the night and the image's bytes alone. So a night that is opened twice draws the same
images, two readers draw from one order, and what was judged for another reason is passed over, not drawn twice.
"""

import hashlib

from pipeline.night.summary import NightSummary


def seed_of(summary: NightSummary) -> str:
    """The seed of a night's draw: another night, or another model over the same images, draws others."""
    return f"{summary.started_at} {summary.contract_hash}"


def lot(seed: str, sha256: str) -> bytes:
    """An image's place in the draw: the smallest comes first."""
    return hashlib.sha256(f"{seed} {sha256}".encode()).digest()
