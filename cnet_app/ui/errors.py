"""How a fault reaches a user: one sentence, escaped; and for our own faults a number whose traceback is in the log."""

from __future__ import annotations

import html
import logging
import secrets
from collections.abc import Callable
from typing import TypeVar

import gradio as gr

from models.errors import USER_ERRORS

TITLE = "That did not work"
LOG = logging.getLogger(__name__)
T = TypeVar("T")


def attempt(make: Callable[[], T]) -> tuple[T | None, str]:
    """What `make` gives and no words, or nothing and the sentence that tells why."""
    try:
        return make(), ""
    except USER_ERRORS as error:
        return None, str(error)
    except Exception:
        number = secrets.token_hex(3)
        LOG.exception("Error %s in the app.", number)
        return None, f"Something went wrong in the app itself (error {number}); its log tells more."


def tell(text: str) -> None:
    """The note of `toast`, from an event that must not end in an error: Gradio would forget a change that waits behind it."""
    gr.Warning(html.escape(text), duration=12, title=TITLE)


def toast(text: str) -> gr.Error:
    """To be raised: a note that stays a while, without a traceback on the console."""
    return gr.Error(html.escape(text), duration=12, title=TITLE, print_exception=False)
