"""Begins a job that has sealed variables: opens them, deletes their key, and becomes the command that follows."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from analysis.records.json_text import parse_json
from trials.jobs.sender import NONCE_BYTES, PUBLIC_BYTES, cipher, key_file
from trials.machine.redaction import CARRIED_VARIABLE


def unsealed(content: bytes, job: str) -> dict[str, str]:
    """The variables that were sealed for this job, whose key is gone then; raises OSError without a key, ValueError for other content."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    path = key_file(job)
    private = X25519PrivateKey.from_private_bytes(path.read_bytes())
    path.unlink()
    public, nonce, rest = content[:PUBLIC_BYTES], content[PUBLIC_BYTES : PUBLIC_BYTES + NONCE_BYTES], content[PUBLIC_BYTES + NONCE_BYTES :]
    secret = private.exchange(X25519PublicKey.from_public_bytes(public))
    try:
        told = parse_json(cipher(secret, job).decrypt(nonce, rest, job.encode()))
    except InvalidTag:
        raise ValueError("they were sealed for another job") from None
    return {name: os.fsdecode(base64.b64decode(value)) for name, value in told.items()}


if __name__ == "__main__":
    file, job, *command = sys.argv[1:]
    try:
        values = unsealed(Path(file).read_bytes(), job)
    except (OSError, ValueError) as error:
        sys.exit(f"archfront: the variables of --env cannot be opened ({error}); submit the job again")
    os.environ.update(values)
    os.environ[CARRIED_VARIABLE] = ",".join(values)
    os.execvp(command[0], command)
