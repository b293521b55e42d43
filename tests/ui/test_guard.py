"""What stands before all routes: names, origins, rates, sizes, files, headers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from cnet_app.settings import Settings, read_settings
from cnet_app.ui.files import FileReferences
from cnet_app.ui.protection.addresses import address_of
from cnet_app.ui.protection.guard import Guard, is_open_route
from cnet_app.ui.protection.rates import Rates

PAGE = "<html><script>one</script><script type='module' src='a.js'></script></html>"


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with what it was given."""
    request = Request(scope, receive)
    if scope["path"] == "/":
        response = Response(PAGE, media_type="text/html")
    else:
        size = len(await request.body())
        response = PlainTextResponse(f"{scope['path']} {size} {request.headers.get('origin')}")
    response.set_cookie("access-token", "secret", samesite="none", secure=True)
    await response(scope, receive, send)


def ask(guard: Guard, path: str, method: str = "GET", **given: Any) -> httpx.Response:
    return asyncio.run(_ask(guard, path, method, **given))


async def _ask(guard: Guard, path: str, method: str, host: str = "127.0.0.1:7860", **given: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=guard.around(inner))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.request(method, path, **given)


def local(**settings: Any) -> Guard:
    return Guard(Settings(**settings))


def public(folder: Path, **settings: Any) -> Guard:
    chosen = Settings(host="0.0.0.0", output_dir=folder, **settings)
    return Guard(chosen, FileReferences({"pictures": folder}, b"secret"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "127.0.0.2", "192.168.1.5:80", "studio.localhost"]
)
def test_the_app_is_found_under_addresses_and_its_own_names(host: str) -> None:
    assert ask(local(), "/", host=host).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "attacker"])
@pytest.mark.parametrize("own", ["127.0.0.1", "::1", "127.0.0.2", "192.168.1.5"])
def test_a_foreign_name_that_leads_to_this_machine_is_refused(host: str, own: str) -> None:
    answer = ask(local(host=own, public=False), "/", host=host)
    assert answer.status_code == 403 and "--hosts" in answer.json()["error"]


def test_a_name_that_was_given_is_known() -> None:
    assert ask(local(hosts="studio.lan, other"), "/", host="studio.lan").status_code == 200
    assert ask(local(host="studio", public=False), "/", host="studio:7860").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:3000",
        "http://localhost:7860",
        "https://127.0.0.1",
        "http://[",
        "file://",
    ],
)
@pytest.mark.parametrize("path", ["/studio/call", "/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/cancel"])
def test_another_sites_page_sends_nothing(method: str, origin: str, path: str) -> None:
    answer = ask(local(), path, method, headers={"origin": origin, "access-control-request-method": "POST"})
    assert answer.status_code == 403 and "another site" in answer.json()["error"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "[::1]:7860", "127.0.0.2:7860", "192.168.1.5:7860", "localhost:7860"]
)
def test_the_own_page_sends(host: str) -> None:
    answer = ask(local(), "/studio/call", "POST", host=host, headers={"origin": f"http://{host}"}, content=b"{}")
    assert answer.status_code == 200


def test_a_form_of_another_site_without_an_origin_is_refused() -> None:
    assert (
        ask(local(), "/studio/call", "POST", headers={"sec-fetch-site": "cross-site"}, content=b"{}").status_code == 403
    )
    assert ask(local(), "/studio/call", "POST", content=b"{}").status_code == 200


def test_pages_behind_a_proxy_are_known_by_its_header_or_by_name() -> None:
    headers = {"origin": "https://studio.example", "x-forwarded-host": "studio.example"}
    assert ask(local(), "/studio/call", "POST", headers=headers, content=b"{}").status_code == 200
    named = local(hosts="studio.example")
    assert (
        ask(named, "/studio/call", "POST", headers={"origin": "https://studio.example"}, content=b"{}").status_code
        == 200
    )


def test_gradio_never_learns_of_an_origin_to_open_its_answers_to() -> None:
    answer = ask(local(), "/gradio_api/info", headers={"origin": "http://evil.example"})
    assert answer.text.endswith("None")


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://example.org", "/gradio_api/deep_link", "/gradio_api/stream/x", "/gradio_api/vibe-code",
        "/gradio_api/component_server", "/gradio_api/run/generate", "/gradio_api/token", "/gradio_api/file/etc/passwd",
        "/gradio_api/process_recording", "/monitoring", "/monitoring/summary", "/docs", "//gradio_api/file=x",
        "/gradio_api/dev/reload", "/gradio_api/runs", "/gradio_api/mcp/",
    ],
)  # fmt: skip
def test_routes_that_nobody_needs_are_closed(path: str) -> None:
    assert not is_open_route(path)
    assert ask(local(), path).status_code == 404


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/x", "https://example.org/a.png", "file:///etc/passwd", "//host/share", r"\\host\share"],
)
def test_addresses_are_no_files(address: str) -> None:
    assert ask(local(), f"/gradio_api/file={address}").status_code == 403


def test_the_page_runs_only_scripts_of_its_own() -> None:
    answer = ask(local(), "/")
    policy = answer.headers["content-security-policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert answer.text.count(f'<script nonce="{nonce}"') == 2
    assert "unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert policy.endswith("frame-ancestors 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "same-origin"
    assert ask(local(), "/").headers["content-security-policy"] != policy


def test_a_space_is_framed_by_its_hub_alone() -> None:
    space = read_settings([], {"SPACE_ID": "who/studio", "SPACE_HOST": "who-studio.hf.space"})
    answer = ask(Guard(space), "/", host="who-studio.hf.space")
    assert "frame-ancestors 'self' https://huggingface.co " in answer.headers["content-security-policy"]
    assert "samesite=none" in answer.headers["set-cookie"].lower()


def test_cookies_stay_on_the_own_site() -> None:
    for path in ("/", "/gradio_api/info"):
        cookie = ask(local(), path).headers["set-cookie"].lower()
        assert cookie.endswith("samesite=strict") and "none" not in cookie


def test_files_of_a_public_app_need_their_reference(tmp_path: Path) -> None:
    picture = tmp_path / "2026 #1?.png"
    picture.write_bytes(b"picture")
    guard = public(tmp_path)
    assert guard.references
    reference = guard.references.refer(str(picture))
    asked = "/".join(map(httpx_quote, reference.split("/")))
    answer = ask(guard, f"/gradio_api/file={asked}")
    assert answer.status_code == 200 and str(picture) in answer.text
    assert "sandbox" in answer.headers["content-security-policy"]
    key, _, shown = reference.partition("/")
    wrong = [
        str(picture),
        shown,
        f"{'0' * len(key)}/{shown}",
        f"{key}/pictures/other.png",
        f"{key}/../{shown}",
        "",
        "é",
    ]
    assert {ask(guard, f"/gradio_api/file={httpx_quote(one)}").status_code for one in wrong} == {404}


def httpx_quote(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def test_a_reference_leaves_its_folder_by_no_way(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (tmp_path / "secret").write_text("no")
    (folder / "link").symlink_to(tmp_path / "secret")
    references = FileReferences({"pictures": folder}, b"secret")
    forged = FileReferences({"pictures": tmp_path}, b"other secret").refer(str(tmp_path / "secret"))
    assert references.find(forged) is None
    with pytest.raises(ValueError, match="no folder"):
        references.refer(str(folder / "link"))


def test_many_requests_of_one_address_are_refused_and_those_of_others_not(tmp_path: Path) -> None:
    guard = public(tmp_path, max_requests=1, proxies=1)

    def answers(address: str, count: int) -> list[int]:
        headers = {"x-forwarded-for": f"1.1.1.1, {address}"}
        return [ask(guard, "/gradio_api/info", headers=headers).status_code for _ in range(count)]

    assert 429 not in answers("10.0.0.1", 15)
    assert 429 in answers("10.0.0.1", 15)
    assert answers("10.0.0.2", 3) == [200] * 3
    refused = ask(guard, "/gradio_api/info", headers={"x-forwarded-for": "10.0.0.1"})
    assert "network address" in refused.json()["error"] and int(refused.headers["retry-after"]) >= 1


def test_logins_are_slow_to_guess() -> None:
    guard = local()
    assert [ask(guard, "/login", "POST", content=b"x").status_code for _ in range(8)] == [200] * 6 + [429] * 2


def test_bodies_are_bounded_before_and_while_they_come(tmp_path: Path) -> None:
    guard = public(tmp_path, max_upload_mb=1, max_hourly_mb=3)

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100_000

    assert ask(guard, "/gradio_api/upload", "POST", content=b"x" * 2_000_000).status_code == 413
    for content in (pieces(), b"x" * 1_050_000):
        answer = ask(guard, "/gradio_api/upload", "POST", content=content)
        assert answer.status_code in (200, 413)
    answers = [ask(guard, "/gradio_api/upload", "POST", content=b"x" * 1_000_000) for _ in range(4)]
    assert answers[-1].status_code == 429 and "3 MB came from your network address" in answers[-1].json()["error"]
    big = ask(guard, "/studio/call", "POST", content=b"[" + b"1," * 9_000_000 + b"1]")
    assert big.status_code == 413


@pytest.mark.parametrize("path", ["/studio/call", "/gradio_api/queue/join", "/gradio_api/call/generate"])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"NaN",
        b"[Infinity]",
        b"{",
        b"\xff",
        b'{"a": "\\"}' + b"[" * 200,
    ],
)
def test_json_is_bounded_before_anybody_reads_it(path: str, content: bytes) -> None:
    answer = ask(local(), path, "POST", content=content)
    assert answer.status_code == 400 and "reload the page" in answer.json()["error"]


def test_brackets_in_text_are_no_depth() -> None:
    assert ask(local(), "/studio/call", "POST", content=b'{"text": "' + b'[{\\"' * 10_000 + b'"}').status_code == 200


def test_what_needs_a_login_is_closed_without_one() -> None:
    def is_logged_in(cookies: Mapping[str, str]) -> bool:
        return cookies.get("token") == "right"

    guard = Guard(Settings(), None, is_logged_in)
    closed = ["/studio/call", "/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/upload", "/gradio_api/reset"]
    assert {ask(guard, path, "POST", content=b"").status_code for path in closed} == {401}
    closed = ["/gradio_api/file=/etc/passwd", "/gradio_api/heartbeat/x", "/gradio_api/info", "/gradio_api/queue/data"]
    assert {ask(guard, path).status_code for path in closed} == {401}
    assert {ask(guard, path).status_code for path in ("/", "/studio/main.js", "/theme.css", "/gradio_api/user")} == {
        200
    }
    assert ask(guard, "/gradio_api/info", headers={"cookie": "a=b; token=right"}).status_code == 200


@pytest.mark.parametrize(
    ("client", "told", "proxies", "expected"),
    [
        ("9.9.9.9", "1.2.3.4", 0, "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", 2, "1.2.3.4"),
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("2001:db8::1", "", 0, "2001:db8::/64"),
        ("2001:db8::ffff:1", "", 0, "2001:db8::/64"),
    ],
)
def test_an_address_cannot_be_invented(client: str, told: str, proxies: int, expected: str) -> None:
    headers = [(b"x-forwarded-for", told.encode())] if told else []
    assert address_of({"type": "http", "client": (client, 1), "headers": headers}, proxies) == expected


def test_a_bucket_fills_again() -> None:
    now = 0.0
    rates = Rates(rate=2, burst=4, clock=lambda: now)
    assert [rates.take("one") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    now = 0.5
    assert rates.take("one") == 0 and rates.take("one") > 0 and rates.take("two") == 0


@pytest.mark.parametrize(("told", "method"), [(5, "GET"), (9, "GET"), (7, "HEAD")])
def test_a_picture_that_is_replaced_while_it_is_fetched_comes_whole(told: int, method: str) -> None:
    async def replaced(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(told).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        parts = [] if method == "HEAD" else [b"scores", b"!"]
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def fetch() -> httpx.Response:
        transport = httpx.ASGITransport(app=local().around(replaced))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            return await client.request(method, "/gradio_api/file=/a/picture.png")

    answer = asyncio.run(fetch())
    assert answer.headers["content-length"] == "7"
    assert answer.content == (b"" if method == "HEAD" else b"scores!")
    assert "sandbox" in answer.headers["content-security-policy"]
