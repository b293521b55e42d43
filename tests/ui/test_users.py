"""Who may log in: a users file with hashes, or one password."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from cnet_app.settings import Settings
from cnet_app.ui.protection.users import hash_password, is_password, main, read_file, read_users
from models.errors import InputError


def verified(settings: Settings, name: str, password: str) -> bool:
    verify = read_users(settings)
    assert verify
    return asyncio.run(verify(name, password))


def test_a_hash_has_a_salt_and_not_the_password() -> None:
    one, other = hash_password("hidden words"), hash_password("hidden words")
    assert one != other and "hidden" not in one
    assert is_password("hidden words", one) and not is_password("hidden word", one) and not is_password("x" * 5000, one)


@pytest.mark.slow
def test_users_log_in_with_their_own_password(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# people\n\nann:{hash_password('one')}\nbo b:{hash_password('two')}\n")
    settings = Settings(auth=str(path))
    assert verified(settings, "ann", "one") and verified(settings, "bo b", "two")
    for name, password in (("ann", "two"), ("carl", "one"), ("", ""), ("ann", ""), ("ann", "\udcff"), ("# people", "")):
        assert not verified(settings, name, password)


def test_one_password_is_for_every_name() -> None:
    settings = Settings(password="hidden words")
    assert verified(settings, "anybody", "hidden words") and not verified(settings, "anybody", "Hidden words")


def test_without_either_nobody_is_asked() -> None:
    assert read_users(Settings()) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names nobody"),
        ("# nobody\n", "names nobody"),
        ("ann:secret", "Line 1 of .* is not NAME:HASH"),
        ("\nann:scrypt$00$11", "Line 2 of"),
        (f":{hash_password('one')}", "Line 1 of"),
        ("ann:scrypt$zz$zz", "Line 1 of"),
    ],
)
def test_a_users_file_that_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_file(path)


def test_a_users_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_users(Settings(auth=str(tmp_path / "none")))
    with pytest.raises(InputError, match="choose one"):
        read_users(Settings(auth="users", password="x"))


def test_the_command_prints_a_line_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hidden words\n"))
    assert main(["ann"]) == 0
    path = tmp_path / "users"
    path.write_text(capsys.readouterr().out)
    assert is_password("hidden words", read_file(path)["ann"])


@pytest.mark.parametrize(("argv", "typed"), [([], "x\n"), (["a:b"], "x\n"), (["ann", "bob"], "x\n"), (["ann"], "\n")])
def test_the_command_refuses_what_cannot_be(
    argv: list[str], typed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
