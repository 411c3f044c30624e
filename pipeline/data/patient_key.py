"""The project's own key for the hashes of patients and studies: made at first use, never in git. Hashes nothing.

Without the key nobody can try all patient numbers until a hash fits. Another key gives other hashes, and then all files
are measured again.
"""

import hashlib
import secrets
import threading
from pathlib import Path

from pipeline.core.errors import NightshiftError
from pipeline.storage.files import replacing

BYTES = 32  # as many as SHA-256 gives (RFC 2104)
_made_once = threading.Lock()  # files are measured by several threads


def patient_key(file: Path) -> bytes:
    """The key in `file`; a new one where there is none. Raises NightshiftError when the file holds something else."""
    with _made_once:
        if not file.is_file():
            with replacing(file) as beside:
                beside.touch(mode=0o600)
                beside.write_bytes(secrets.token_bytes(BYTES))
        key = file.read_bytes()
    if len(key) != BYTES:
        raise NightshiftError(
            f"{file} must hold {BYTES} bytes, the key of the hashes of patients, and holds {len(key)}. Restore it from "
            "a backup, or delete it: a new one is made, and all files are measured again."
        )
    return key


def fingerprint(file: Path) -> str:
    """What tells one key from another without giving it away; empty before the first use."""
    return hashlib.sha256(b"fingerprint" + file.read_bytes()).hexdigest()[:8] if file.is_file() else ""
