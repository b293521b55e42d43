"""Who may log in: users with hashed passwords from a file, or one password for all.

`python -m cnet_app.ui.protection.users NAME` asks for a password and prints the line of the file.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import secrets
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread

from cnet_app.settings import Settings
from models.errors import InputError

SCHEME = "scrypt"
COST, BLOCK, PARALLEL = 1 << 14, 8, 1
SALT_BYTES = 16
MAX_PASSWORD = 1000
"""Characters: hashing longer ones is work for nothing."""
Verify = Callable[[str, str], Coroutine[Any, Any, bool]]


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Return `scrypt$SALT$HASH`, both in hexadecimal."""
    salt = salt or secrets.token_bytes(SALT_BYTES)
    digest = hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, n=COST, r=BLOCK, p=PARALLEL)
    return f"{SCHEME}${salt.hex()}${digest.hex()}"


def is_password(password: str, hashed: str) -> bool:
    """Return whether a password has this hash."""
    salt = bytes.fromhex(hashed.split("$")[1])
    return len(password) <= MAX_PASSWORD and hmac.compare_digest(hash_password(password, salt), hashed)


def read_users(settings: Settings) -> Verify | None:
    """Return what verifies a name and a password; None where no login is asked for.

    Raises InputError for a users file that cannot be read, holds nobody, or a line that is none.
    """
    if settings.auth and settings.password:
        raise InputError("Both --auth and --password are given; choose one of them.")
    if settings.password:
        hashed = hash_password(settings.password)
        return _verify(lambda name: hashed)
    if not settings.auth:
        return None
    users = read_file(Path(settings.auth).expanduser())
    nobody = hash_password(secrets.token_hex())  # a name that is unknown takes as long as one that is known
    return _verify(lambda name: users.get(name, nobody))


def read_file(path: Path) -> Mapping[str, str]:
    """Return the hashes of a users file by name. Raises InputError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"The users file {path} cannot be read ({reason}); check --auth.") from error
    users: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, _, hashed = line.rpartition(":")
        if not name or not _is_hash(hashed):
            raise InputError(
                f"Line {number} of {path} is not NAME:HASH; write it with `python -m cnet_app.ui.protection.users NAME`."
            )
        users[name] = hashed
    if not users:
        raise InputError(
            f"The users file {path} names nobody; add a line with `python -m cnet_app.ui.protection.users NAME`."
        )
    return users


def _is_hash(text: str) -> bool:
    scheme, *parts = text.split("$")
    try:
        return scheme == SCHEME and [len(bytes.fromhex(part)) for part in parts] == [SALT_BYTES, 64]
    except ValueError:
        return False


def _verify(hash_of: Callable[[str], str]) -> Verify:
    async def verify(name: str, password: str) -> bool:
        return await anyio.to_thread.run_sync(is_password, password, hash_of(name))

    return verify


def main(argv: Sequence[str] | None = None) -> int:
    """Ask for the password of a name and print its line."""
    names = list(sys.argv[1:] if argv is None else argv)
    if len(names) != 1 or not names[0].strip() or ":" in names[0]:
        print("Give one name without a colon: python -m cnet_app.ui.protection.users NAME", file=sys.stderr)
        return 2
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password or len(password) > MAX_PASSWORD:
        print(f"The password must have 1 to {MAX_PASSWORD} characters.", file=sys.stderr)
        return 2
    print(f"{names[0].strip()}:{hash_password(password)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
