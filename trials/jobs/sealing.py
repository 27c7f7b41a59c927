"""Variables of the submitter's environment, sealed so that the job alone can read them.

Whatever a job is submitted with, Ray keeps and shows: its command, its `runtime_env`, its package. So the head makes a key pair for the
job and tells its public half; what travels is sealed to that (X25519, HKDF and ChaCha20-Poly1305: RFC 7748, 5869 and 8439), and the private
half lies in a file of the head's account that the job deletes as it begins.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from analysis.records.json_writer import json_of
from search_space.errors import WorkError, quoted
from trials.jobs.asking import Asker
from trials.jobs.sender import NONCE_BYTES, PUBLIC_BYTES, cipher


def sealed(values: Mapping[str, str], job: str, public: bytes) -> bytes:
    """The values for whoever has the private half of this key, and is this job."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    own, nonce = X25519PrivateKey.generate(), os.urandom(NONCE_BYTES)
    secret = own.exchange(X25519PublicKey.from_public_bytes(public))
    told = json_of({name: base64.b64encode(os.fsencode(value)).decode() for name, value in values.items()}).encode()
    content: bytes = cipher(secret, job).encrypt(nonce, told, job.encode())
    return own.public_key().public_bytes_raw() + nonce + content


def seal(values: Mapping[str, str], job: str, asker: Asker) -> bytes:
    """Ask the head for a key for this job, and seal the values to it."""
    for told in asker.ask(key=job):
        if "public" in told:
            public = base64.b64decode(told["public"])
            if len(public) == PUBLIC_BYTES:
                return sealed(values, job, public)
        if "refused" in told:
            raise WorkError(f"the cluster's head can make no key for --env ({quoted(told.get('why'))}); mend that, or leave --env out")
    raise WorkError("the cluster's head made no key for --env; run the same command again")
