"""The server of the Model Context Protocol: its messages one by one, and a session of a public client."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.canny import Canny
from annotators.runtime import Runtime
from annotators.sources.images import load_image
from cnet_app.api.endpoints import Endpoints
from cnet_app.cli.mcp import NO_METHOD, PARSE_ERROR, REVISIONS, create_tools, serve
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from tests.jobs.fake_engine import FakeEngine
from tests.source import ROOT


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    settings = Settings(output_dir=tmp_path / "pictures")
    runner = Runner(settings, FakeEngine())

    def save(pixels: Any) -> dict[str, Any]:
        path = tmp_path / "map.png"
        Image.fromarray(pixels).save(path)
        return {"path": str(path)}

    yield Endpoints(settings, runner, Maps(run_here(Runtime())), save)
    runner.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::4, ::4])).save(path)
    return path


def exchange(endpoints: Endpoints, *messages: object) -> list[dict[str, Any]]:
    """Send messages, text as it is, and return the answers."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in messages]
    answers = io.StringIO()
    serve(create_tools(endpoints), io.StringIO("\n".join(lines) + "\n"), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def ask(method: str, params: Any = None, id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def tool(endpoints: Endpoints, name: str, **arguments: Any) -> dict[str, Any]:
    (answer,) = exchange(endpoints, ask("tools/call", {"name": name, "arguments": arguments}))
    return answer["result"]


def test_an_introduction_agrees_on_a_revision_that_both_know(endpoints: Endpoints) -> None:
    known, unknown = exchange(
        endpoints,
        ask("initialize", {"protocolVersion": REVISIONS[-1]}),
        ask("initialize", {"protocolVersion": "2099-01-01"}, id=2),
    )
    assert known["result"]["protocolVersion"] == REVISIONS[-1]
    assert unknown["result"]["protocolVersion"] == REVISIONS[0]
    assert known["result"]["capabilities"] == {"tools": {}}


def test_six_tools_are_listed_with_their_arguments(endpoints: Endpoints) -> None:
    (answer,) = exchange(endpoints, ask("tools/list"))
    tools = {one["name"]: one["inputSchema"] for one in answer["result"]["tools"]}
    assert sorted(tools) == ["annotate", "generate", "library", "list_conditions", "list_models", "score"]
    assert tools["annotate"]["required"] == ["condition", "image"]
    assert "canny" in tools["annotate"]["properties"]["condition"]["enum"]


def test_notifications_and_empty_lines_have_no_answer(endpoints: Endpoints) -> None:
    assert exchange(endpoints, {"jsonrpc": "2.0", "method": "notifications/initialized"}, "") == []


@pytest.mark.parametrize(
    ("message", "code"),
    [("{", PARSE_ERROR), ("[" * 100_000, PARSE_ERROR), ("[]", -32600), (ask("nothing"), NO_METHOD),
     (ask("tools/call", {"name": "rm"}), -32602), (ask("tools/call", []), -32602)],
)  # fmt: skip
def test_what_is_no_call_is_an_error_and_the_next_call_works(endpoints: Endpoints, message: Any, code: int) -> None:
    wrong, right = exchange(endpoints, message, ask("ping", id=2))
    assert wrong["error"]["code"] == code
    assert right == {"jsonrpc": "2.0", "id": 2, "result": {}}


def test_a_map_comes_as_path_and_as_image(endpoints: Endpoints, photo: Path) -> None:
    result = tool(endpoints, "annotate", condition="canny", image=str(photo))
    path = Path(result["structuredContent"]["map"])
    assert np.array_equal(load_image(path), Canny()(load_image(photo)))
    text, image = result["content"]
    assert json.loads(text["text"]) == result["structuredContent"]
    assert (image["type"], image["mimeType"]) == ("image", "image/png")
    assert not result["isError"]


def test_pictures_are_waited_for_and_scored(endpoints: Endpoints, photo: Path) -> None:
    control = {"condition": "canny", "image": str(photo)}
    made = tool(endpoints, "generate", prompt="x", controls=[control], options={"seed": 3, "num_inference_steps": 2})
    assert (made["structuredContent"]["status"], made["structuredContent"]["seeds"]) == ("done", [3])
    (picture,) = made["structuredContent"]["pictures"]
    scored = tool(endpoints, "score", picture=picture)["structuredContent"]["scores"]
    assert scored[0]["measure"] == "edge_f1"
    assert tool(endpoints, "library")["structuredContent"]["jobs"][0]["pictures"] == [picture]


def test_a_mistake_is_a_result_with_a_sentence(endpoints: Endpoints, photo: Path) -> None:
    for arguments, message in (
        ({"condition": "cany", "image": str(photo)}, "did you mean canny?"),
        ({"condition": "canny"}, "annotate needs the argument 'image'"),
        ({"condition": "canny", "image": str(photo), "low": 3}, "annotate has no argument 'low'"),
        ({"condition": "canny", "image": "/nowhere.png"}, "nowhere.png"),
    ):
        result = tool(endpoints, "annotate", **arguments)
        assert result["isError"]
        assert message in result["structuredContent"]["error"]


@pytest.mark.slow
def test_a_public_client_uses_the_server(photo: Path, tmp_path: Path) -> None:
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    arguments = ["-m", "cnet_app", "mcp", "--output", str(tmp_path / "made"), "--base", "embedded", "--device", "cpu"]

    async def session() -> tuple[list[str], Any]:
        server = StdioServerParameters(command=sys.executable, args=arguments, cwd=ROOT)
        async with stdio_client(server) as (read, write), ClientSession(read, write) as client:
            await client.initialize()
            tools = await client.list_tools()
            result = await client.call_tool("annotate", {"condition": "canny", "image": str(photo)})
            return [tool.name for tool in tools.tools], result

    names, result = asyncio.run(session())
    assert len(names) == 6
    path = json.loads(result.content[0].text)["map"]
    assert np.array_equal(load_image(Path(path)), Canny()(load_image(photo)))
