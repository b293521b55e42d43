"""Faults as the user reads them: one message in the form's words; for our own faults a number whose traceback is in the log."""

from __future__ import annotations

import html
import logging
import secrets
from collections.abc import Callable
from typing import TypeVar

import gradio as gr

from cnet_app.ui.labels import in_form_words
from models.errors import USER_ERRORS

TITLE = "That did not work"
LOG = logging.getLogger(__name__)
T = TypeVar("T")


def attempt(make: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result of `make` and an empty message, or None and the message of its fault."""
    try:
        return make(), ""
    except USER_ERRORS as error:
        return None, in_form_words(str(error))
    except Exception:
        number = secrets.token_hex(3)
        LOG.exception("Error %s in the app.", number)
        return None, f"Something went wrong in the app itself (error {number}); see its log."


def toast(message: str) -> gr.Error:
    """Return an error to be raised where no box of the page can show the message."""
    return gr.Error(html.escape(message), duration=12, title=TITLE, print_exception=False)
