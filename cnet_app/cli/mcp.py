"""`mcp`: a server of the Model Context Protocol over standard input and output, for assistants on this machine.

The protocol is JSON-RPC 2.0, one message a line (modelcontextprotocol.io, revision 2025-06-18). Tools are the endpoints of
cnet_app.api; files are paths.
"""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from annotators.base import Image
from cnet_app import __version__
from cnet_app.api.endpoints import Endpoints, Object
from cnet_app.cli.tasks.engine import command_settings
from cnet_app.cli.terminal.output import make_folder, write_png
from cnet_app.jobs.create import create_runner
from cnet_app.registry.conditions import CONDITIONS

REVISIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""Of the protocol, the newest first; tools are the same in all."""
MAX_LINE = 4_000_000
"""Characters of one message."""
SHOWN_BYTES = 750_000
"""Largest picture that is also sent as image content; a larger one is a path alone."""
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602
"""Codes of JSON-RPC."""
PATHS = ("image", "picture", "initial_image", "inpaint_mask", "mask", "weight_map")
"""Arguments that are paths of files, at any depth."""


@dataclass(frozen=True)
class Tool:
    """One tool: its name, what it does, the JSON schema of its arguments, and the call."""

    name: str
    help: str
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    call: Callable[..., Object]

    def describe(self) -> Object:
        """Return the tool as `tools/list` lists it."""
        schema = {"type": "object", "properties": dict(self.properties), "required": list(self.required)}
        return {"name": self.name, "description": self.help, "inputSchema": schema}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the server."""
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("outputs"), help="where pictures and maps go"
    )
    parser.add_argument("--base", metavar="ID", help="base model; left out, the best that can run here")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps; auto takes the fastest")


def run(args: argparse.Namespace) -> None:
    """Answer messages until standard input ends."""
    settings = command_settings(
        argparse.Namespace(device=args.device, speed=None), base=args.base, output_dir=args.output
    )
    runner, maps = create_runner(settings)
    endpoints = Endpoints(settings, runner, maps, lambda pixels: _save_map(args.output, pixels))
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not come between the messages
    try:
        serve(create_tools(endpoints), sys.stdin, answers)
    finally:
        sys.stdout = answers
        runner.close()


def create_tools(endpoints: Endpoints) -> tuple[Tool, ...]:
    """Return the six tools over the endpoints."""
    ids = [row.id for row in CONDITIONS]
    condition = {"type": "string", "enum": ids, "description": "kind of map"}
    control = {
        "type": "object",
        "properties": {
            "condition": condition,
            "image": _path("photo, or a map with annotator none"),
            "annotator": {"type": "string", "description": "id from list_conditions; left out, the best that can run"},
            "conditioning_scale": {"type": "number", "minimum": 0, "maximum": 2, "description": "control strength"},
        },
        "required": ["condition", "image"],
    }
    options = {
        "type": "object",
        "description": "width, height, seed, num_images, num_inference_steps, guidance_scale …",
    }

    def generate(prompt: str, controls: list[Object] | None = None, options: Object | None = None) -> Object:
        asked = endpoints.generate(prompt, controls, options)
        if "error" in asked:
            return asked
        ends = [_end_of(endpoints, job) for job in asked["jobs"]]
        lists = {name: [one for end in ends for one in end[name]] for name in ("pictures", "seeds", "notes")}
        last = next((end for end in ends if end["error"]), ends[-1])
        return last | lists | {"warnings": asked["warnings"]}

    return (
        Tool("list_conditions", "List the kinds of maps with their annotators and parameters.", {}, (), endpoints.conditions),
        Tool("list_models", "List models with licence and size.", {"kind": {"type": "string"}}, (), endpoints.models),
        Tool(
            "annotate", "Turn a photo into a control image, such as its edges, depth or pose.",
            {"condition": condition, "image": _path("photo"), "annotator": {"type": "string"},
             "parameters": {"type": "object"}, "width": {"type": "integer"}, "height": {"type": "integer"}},
            ("condition", "image"), endpoints.annotate,
        ),
        Tool(
            "generate", "Make pictures from a prompt, steered by control images. Waits until they are done.",
            {"prompt": {"type": "string"}, "controls": {"type": "array", "items": control}, "options": options},
            ("prompt",), generate,
        ),
        Tool("score", "Measure how closely a picture made here follows its maps.",
             {"picture": _path("picture made here"),
              "overlay": {"type": "boolean", "description": "also draw what agrees and what does not"}},
             ("picture",), endpoints.score),
        Tool("library", "List the newest jobs and their pictures.", {"limit": {"type": "integer"}}, (), endpoints.library),
    )  # fmt: skip


def _end_of(endpoints: Endpoints, id: str) -> Object:
    """Wait for the end of a job."""
    while (job := endpoints.jobs(id, wait=60.0)).get("status") in ("queued", "running"):
        pass
    return job


def serve(tools: Iterable[Tool], messages: TextIO, answers: TextIO) -> None:
    """Answer each line of `messages` that is a request with a line of `answers`, until `messages` ends."""
    by_name = {tool.name: tool for tool in tools}
    while line := messages.readline(MAX_LINE):
        answer = _answer(line, by_name)
        if answer is not None:
            answers.write(json.dumps({"jsonrpc": "2.0", **answer}) + "\n")
            answers.flush()


def _answer(line: str, tools: Mapping[str, Tool]) -> Object | None:
    """Return the answer to one message; None for notifications and empty lines."""
    if not line.strip():
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {"id": None, "error": {"code": PARSE_ERROR, "message": "The message is not JSON."}}
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        return {
            "id": None,
            "error": {
                "code": INVALID_REQUEST,
                "message": "The message is not a JSON-RPC request; send an object with a method.",
            },
        }
    if "id" not in message:
        return None
    method, given = message["method"], message.get("params") or {}
    if method == "initialize":
        return {"id": message["id"], "result": _introduce(given)}
    if method == "ping":
        return {"id": message["id"], "result": {}}
    if method == "tools/list":
        return {"id": message["id"], "result": {"tools": [tool.describe() for tool in tools.values()]}}
    if method == "tools/call":
        return {"id": message["id"], **_call(given, tools)}
    return {
        "id": message["id"],
        "error": {"code": NO_METHOD, "message": f"The method {method[:60]!r} is not supported."},
    }


def _introduce(given: Any) -> Object:
    wanted = given.get("protocolVersion") if isinstance(given, dict) else None
    return {
        "protocolVersion": wanted if wanted in REVISIONS else REVISIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "controlnet-studio", "version": __version__},
    }


def _call(given: Any, tools: Mapping[str, Tool]) -> Object:
    tool = tools.get(str(given.get("name"))) if isinstance(given, dict) else None
    if tool is None:
        names = ", ".join(tools)
        return {"error": {"code": INVALID_PARAMS, "message": f"The tool is not known; the tools are: {names}."}}
    arguments = given.get("arguments") or {}
    unknown = [name for name in arguments if name not in tool.properties]
    lacking = [name for name in tool.required if name not in arguments]
    if unknown or lacking:
        fault = f"has no argument {unknown[0]!r}" if unknown else f"needs the argument {lacking[0]!r}"
        return {"result": _content({"error": f"{tool.name} {fault}; it takes: {', '.join(tool.properties)}."})}
    return {"result": _content(tool.call(**_with_files(arguments)))}


def _content(answer: Object) -> Object:
    """Return the result of a tool: the answer as JSON text, and its small pictures as images."""
    plain = _with_paths(answer)
    parts: list[Object] = [{"type": "text", "text": json.dumps(plain, ensure_ascii=False)}]
    for path in map(Path, [*plain.get("pictures", ()), *([plain["map"]] if "map" in plain else ())]):
        if path.stat().st_size <= SHOWN_BYTES:
            data = base64.b64encode(path.read_bytes()).decode()
            parts.append({"type": "image", "data": data, "mimeType": "image/png"})
    return {"content": parts, "structuredContent": plain, "isError": "error" in answer and bool(answer["error"])}


def _with_files(value: Any, name: str = "") -> Any:
    """Turn paths in arguments into the files that endpoints take."""
    if isinstance(value, dict):
        return {key: _with_files(entry, key) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_files(entry) for entry in value]
    return {"path": value} if name in PATHS and isinstance(value, str) else value


def _with_paths(value: Any) -> Any:
    """Turn the files of an answer into their paths."""
    if isinstance(value, dict):
        if set(value) <= {"path", "meta"} and "path" in value:
            return value["path"]
        return {key: _with_paths(entry) for key, entry in value.items()}
    return [_with_paths(entry) for entry in value] if isinstance(value, list) else value


def _save_map(folder: Path, pixels: Image) -> Object:
    make_folder(folder)
    path = folder / f"map_{time.strftime('%Y-%m-%d_%H%M%S')}_{secrets.token_hex(4)}.png"
    write_png(path, pixels)
    return {"path": str(path)}


def _path(what: str) -> Object:
    return {"type": "string", "description": f"path of a file: {what}"}
