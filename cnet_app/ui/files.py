"""Files that a page may fetch: in public mode by references that only the server can make."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from models.downloads.whole import write_whole

KEY_DIGITS = 32
SECRET_BYTES = 32


def kept_secret(path: Path) -> bytes:
    """Return the secret of a file, which is made where it is missing: references outlive a restart of the server.

    Where the file cannot be written, the secret lasts as long as the process.
    """
    with suppress(OSError):
        if len(known := path.read_bytes()) == SECRET_BYTES:
            return known
    secret = secrets.token_bytes(SECRET_BYTES)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        write_whole(path, secret)
        path.chmod(0o600)
    return secret


class FileReferences:
    """References to files of known folders, as `KEY/folder/name.png`: the key is the proof that the server gave it.

    A reference is good for its file alone, and tells nothing of the server's folders.
    """

    def __init__(self, folders: Mapping[str, Path], secret: bytes) -> None:
        """`folders` are those whose files can be fetched, by the names that stand for them."""
        self._folders = {name: folder.expanduser().resolve() for name, folder in folders.items()}
        self._secret = secret

    def refer(self, path: str) -> str:
        """Return the reference of a file. Raises ValueError for one outside of the folders, which is a fault of ours."""
        place = Path(path).resolve()
        for name, folder in self._folders.items():
            if place.is_relative_to(folder):
                shown = f"{name}/{place.relative_to(folder).as_posix()}"
                return f"{self._key(shown)}/{shown}"
        raise ValueError(f"{path} is in no folder of which files can be fetched")

    def find(self, reference: str) -> Path | None:
        """Return the file of a reference; None for one that this server never gave, and where the file is gone."""
        key, _, shown = reference.partition("/")
        name, _, rest = shown.partition("/")
        if not hmac.compare_digest(key.encode(), self._key(shown).encode()) or ".." in PurePosixPath(rest).parts:
            return None
        path = self._folders[name] / rest
        return path if path.resolve().is_relative_to(self._folders[name]) and path.is_file() else None

    def _key(self, shown: str) -> str:
        digest = hmac.new(self._secret, shown.encode(errors="replace"), hashlib.sha256)
        return digest.hexdigest()[:KEY_DIGITS]
