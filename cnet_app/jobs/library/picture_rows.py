"""The rows of finished pictures in the history's file, and how jobs of earlier versions get theirs."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import cast

_SHOWN = "WHERE deleted IS NULL AND missing = 0"
CREATE = (
    """
    CREATE TABLE IF NOT EXISTS pictures (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL,
        image_index INTEGER NOT NULL, path TEXT NOT NULL, created REAL NOT NULL, day TEXT NOT NULL,
        session TEXT NOT NULL DEFAULT '', kind TEXT NOT NULL, prompt TEXT NOT NULL DEFAULT '',
        negative_prompt TEXT NOT NULL DEFAULT '', base TEXT NOT NULL DEFAULT '', conditions TEXT NOT NULL DEFAULT '',
        width INTEGER, height INTEGER, seed INTEGER, score REAL, scores TEXT NOT NULL DEFAULT '{}',
        favourite INTEGER NOT NULL DEFAULT 0, board TEXT NOT NULL DEFAULT '', deleted REAL,
        missing INTEGER NOT NULL DEFAULT 0, words TEXT NOT NULL DEFAULT ''
    )""",  # path: relative to the folder of the file; day: YYYY-MM-DD; words: of the prompt, as `prompt_words` has them
    f"CREATE INDEX IF NOT EXISTS pictures_by_time ON pictures (created, number) {_SHOWN}",
    f"CREATE INDEX IF NOT EXISTS pictures_by_score ON pictures (score, created, number) {_SHOWN}",
    f"CREATE INDEX IF NOT EXISTS pictures_by_day ON pictures (day, deleted, missing) {_SHOWN}",
    f"CREATE INDEX IF NOT EXISTS pictures_of_session ON pictures (session, created, number) {_SHOWN}",
    f"CREATE INDEX IF NOT EXISTS pictures_on_board ON pictures (board) {_SHOWN} AND board != ''",
    "CREATE INDEX IF NOT EXISTS pictures_of_job ON pictures (job)",
    "CREATE INDEX IF NOT EXISTS pictures_gone ON pictures (missing) WHERE missing = 1",
)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
"""Chinese and Japanese put no spaces between words: each of their characters is one."""
JOB_COLUMNS = "id, kind, created, session, prompt, base, conditions, width, height, seed, paths, request"
MAX_INTEGER = 2**63 - 1
"""The largest that SQLite holds."""
MAX_STEP_BACK = 86_400.0
"""Seconds by which a clock may be set back without a change of the library's order."""
MAX_DAY = 253_402_300_799.0
"""The last second of the year 9999."""


def prompt_words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return _WORD.findall(text.casefold())


def day_of(created: float) -> str:
    """Return the day of a time in seconds since 1970, on this machine's clock: YYYY-MM-DD."""
    return time.strftime("%Y-%m-%d", time.localtime(min(max(created, 0.0), MAX_DAY)))


def after_newest(connection: sqlite3.Connection, now: float) -> dict[str, object]:
    """Return `created` and `day` of a picture made now, neither before those of the newest one, whatever clock and zone did.

    Where the newest one is more than MAX_STEP_BACK ahead, the clock was wrong then, and is believed now.
    """
    query = f"SELECT created, day FROM pictures {_SHOWN} ORDER BY created DESC, number DESC LIMIT 1"
    created, day = connection.execute(query).fetchone() or (now, "")
    if created > now + MAX_STEP_BACK:
        return {"created": now, "day": day_of(now)}
    return {"created": max(now, created), "day": max(day_of(now), day)}


def insert_picture(connection: sqlite3.Connection, values: Mapping[str, object]) -> str:
    """Add a picture by its columns; `words`, and where they are missing `id` and `day`, are made here. Return its id."""
    made = {"id": secrets.token_hex(8), "day": day_of(float(cast("float", values["created"])))}
    given = {name: _text(value) if isinstance(value, str) else value for name, value in values.items()}
    row = (
        made
        | given
        | {
            "words": "".join(f" {word}" for word in prompt_words(_text(str(values["prompt"])))),
        }
    )
    names, places = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO pictures ({names}) VALUES ({places})", tuple(row.values()))
    return str(row["id"])


def add_pictures_of_jobs(connection: sqlite3.Connection) -> None:
    """Give every picture that a job of version 2 made its row, the oldest first."""
    query = f"SELECT {JOB_COLUMNS} FROM jobs WHERE paths != '[]' ORDER BY number"
    for row in connection.execute(query).fetchall():
        job: dict[str, object] = dict(zip(JOB_COLUMNS.split(", "), row, strict=True))
        add_pictures_of_job(connection, job, parsed(job.pop("request")))


def add_pictures_of_job(connection: sqlite3.Connection, job: Mapping[str, object], request: object) -> None:
    """Give every picture of a job its row; `request` is its JSON, whatever that is."""
    paths = parsed(job.get("paths"))
    fields = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    negative, seed = fields.get("negative_prompt"), job.get("seed")
    columns = ("created", "kind", "prompt", "base", "conditions", "width", "height")
    shared = {name: job.get(name) for name in columns} | {
        "job": job["id"],
        "session": job.get("session", ""),
        "negative_prompt": negative if isinstance(negative, str) else "",
    }
    names = [name for name in map(_file_name, _items(paths)) if name]
    for index, name in enumerate(names):
        known = isinstance(seed, int) and seed + index <= MAX_INTEGER
        own = {"image_index": index, "path": name, "seed": cast("int", seed) + index if known else None}
        insert_picture(connection, shared | own)


def parsed(text: object) -> object:
    """Return the value of a JSON column; None where it is damaged, so that one row does not take the list with it."""
    try:
        return json.loads(cast("str", text))
    except (ValueError, TypeError, RecursionError):
        return None


def _items(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else ()


def _file_name(path: object) -> str:
    """Return the name alone: pictures lie beside the history, wherever the folder was moved since. Empty for no path."""
    if not isinstance(path, str):
        return ""
    name = _text(PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name)
    return "" if "\0" in name or name in (".", "..") else name


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()  # SQLite takes no half of a surrogate pair
