"""The permitted use under each licence, one line each, stated only here; no legal advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Licence:
    """Terms under which weights may be used."""

    use: str
    """One sentence."""
    commercial: Literal["yes", "no", "ask"]
    link: str = ""
    """The text itself; empty where only the model's page can tell."""


_RAIL = "Any use, also commercial, but for the harmful ones that its text lists; pass the terms on with the weights."

LICENCES: Mapping[str, Licence] = MappingProxyType(
    {
        "Apache-2.0": Licence(
            "Any use, also commercial; keep its notices.", "yes", "https://www.apache.org/licenses/LICENSE-2.0"
        ),
        "MIT": Licence(
            "Any use, also commercial; keep its copyright notice.", "yes", "https://opensource.org/license/mit"
        ),
        "CreativeML OpenRAIL-M": Licence(
            _RAIL, "yes", "https://huggingface.co/spaces/CompVis/stable-diffusion-license"
        ),
        "CreativeML OpenRAIL++-M": Licence(
            _RAIL, "yes", "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md"
        ),
        "OpenRAIL": Licence(
            _RAIL, "yes", "https://www.licenses.ai/blog/2022/8/18/naming-convention-of-responsible-ai-licenses"
        ),
        "FLUX.1 [dev] Non-Commercial": Licence(
            "No commercial use of the model; the licence text has the terms for pictures made with it.",
            "no",
            "https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
        ),
        "Stability AI Community": Licence(
            "Any use by those with less than 1 million US dollars of revenue a year; others need a licence, see the model's page.",
            "ask",
            "https://huggingface.co/stabilityai/stable-diffusion-3.5-large/blob/main/LICENSE.md",
        ),
        "CMU academic, non-commercial": Licence(
            "Academic research only, nothing commercial; the university sells commercial licences.",
            "no",
            "https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/LICENSE",
        ),
        "PiDiNet research": Licence(
            "Research only; ask its authors before any commercial use.",
            "no",
            "https://github.com/hellozhuo/pidinet/blob/master/LICENSE",
        ),
        "other": Licence(
            "To try out; its publisher names no common licence, so read the model's page before any other use.", "ask"
        ),
        "unknown": Licence("Not known here; read the model's page before any use.", "ask"),
    }
)
