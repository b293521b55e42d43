"""Scores of finished pictures, measured in the background so that no picture waits for them. Loads no torch."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from annotators.sources.images import load_image
from cnet_app.fidelity.compare import Annotate
from cnet_app.fidelity.score import score
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import described_part
from cnet_app.request.recipe import read_recipe, read_request, write_scores
from cnet_app.request.recipes.scores import UnitScore, mean_agreement
from models.errors import USER_ERRORS, InputError

LOG = logging.getLogger(__name__)
MAX_WAITING = 64
"""Pictures; beyond them the oldest is left without a score, which can be measured at any time."""
LOOK = 0.2
"""Seconds between two looks whether a picture job is wanted."""

OnScored: TypeAlias = Callable[[Path, tuple[UnitScore, ...]], None]
"""Takes a picture's path and one score for each unit of its request; called in the scorer's thread."""


@dataclass(frozen=True, eq=False)
class _Wanted:
    path: Path
    request: GenerationRequest
    at_once: bool


class Scorer:
    """Scores pictures one by one in a thread of its own, the newest first, and writes the scores into their recipes.

    Nothing runs before `start`. A picture that is not to be scored `at_once` waits, also between two of its units, until
    no picture job waits or runs.
    """

    def __init__(self, annotate: Annotate, max_waiting: int = MAX_WAITING) -> None:
        self._annotate = annotate
        self._waiting: deque[_Wanted] = deque(maxlen=max_waiting)
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, on_scored: OnScored, is_busy: Callable[[], bool]) -> None:
        """Start the thread; no effect where it was started before, or after `close`.

        `is_busy` returns whether a picture job waits or runs. It is called without any lock held.
        """
        with self._changed:
            if self._thread or self._closing:
                return
            self._thread = threading.Thread(target=self._work, args=(on_scored, is_busy), name="scorer", daemon=True)
            self._thread.start()

    def submit(self, path: Path, request: GenerationRequest, at_once: bool = False) -> None:
        """Queue a picture on the disk with the request that made it; return at once. One without units has no score."""
        if not request.units:
            return
        with self._changed:
            self._waiting.append(_Wanted(path, request, at_once))
            self._changed.notify_all()

    def close(self, timeout: float = 2.0) -> None:
        """End the thread after the unit in hand; what waits stays without a score."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread:
            thread.join(timeout)

    def _work(self, on_scored: OnScored, is_busy: Callable[[], bool]) -> None:
        while wanted := self._next(is_busy):
            scores = self._score(wanted, is_busy)
            if not scores:
                continue
            try:
                _keep(wanted.path, scores)
                on_scored(wanted.path, scores)
            except Exception:
                LOG.exception("The scores of %s could not be taken.", wanted.path)

    def _next(self, is_busy: Callable[[], bool]) -> _Wanted | None:
        """Return the newest picture that may be scored now; None once the scorer closes."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting)
                waiting = tuple(self._waiting)
            busy = is_busy()
            chosen = next((one for one in reversed(waiting) if one.at_once or not busy), None)
            with self._changed:
                if self._closing:
                    return None
                if chosen in self._waiting:
                    self._waiting.remove(chosen)
                    return chosen
                self._changed.wait(LOOK)

    def _score(self, wanted: _Wanted, is_busy: Callable[[], bool]) -> tuple[UnitScore, ...]:
        """Return one score a unit, with a reason where there is no value; nothing once the scorer closes."""
        scores: list[UnitScore] = []
        try:
            if known := read_recipe(wanted.path).scores:  # a grid has scored it
                return known
            picture, inpaint_mask = described_part(wanted.request, load_image(wanted.path))
            for unit in wanted.request.units:
                if not self._may_go_on(wanted, is_busy):
                    return ()
                scores.append(score(unit, picture, self._annotate, inpaint_mask))
        except USER_ERRORS as error:
            LOG.warning("%s was not scored: %s", wanted.path, error)
            return _without_values(wanted.request, str(error))
        except Exception:
            number = secrets.token_hex(3)
            LOG.exception("%s was not scored (error %s).", wanted.path, number)
            return _without_values(
                wanted.request, f"Something went wrong in the app itself (error {number}); its log has the details."
            )
        return () if self._closing else tuple(scores)

    def _may_go_on(self, wanted: _Wanted, is_busy: Callable[[], bool]) -> bool:
        """Wait until no picture job is wanted; return False once the scorer closes."""
        while not self._closing and not wanted.at_once and is_busy():
            with self._changed:
                self._changed.wait(LOOK)
        return not self._closing


def score_now(path: Path, annotate: Annotate) -> None:
    """Score a picture made here, and write that into its recipe; where that fails, it is logged."""
    try:
        request = read_request(path)
        picture, inpaint_mask = described_part(request, load_image(path))
        _keep(path, tuple(score(unit, picture, annotate, inpaint_mask) for unit in request.units))
    except USER_ERRORS as error:
        LOG.warning("%s was not scored: %s", path, error)
    except Exception:
        LOG.exception("%s was not scored.", path)


def agreement_of(path: Path) -> float | None:
    """Return the mean agreement, 0 to 1, by the scores in a picture's recipe; None where there are none."""
    try:
        return mean_agreement(read_recipe(path).scores)
    except InputError:
        return None


def _keep(path: Path, scores: tuple[UnitScore, ...]) -> None:
    """Write measured scores into the picture; where that fails, it is logged."""
    if not any(one.value is not None for one in scores):
        return
    try:
        write_scores(path, scores)
    except USER_ERRORS as error:
        LOG.warning("%s", error)


def _without_values(request: GenerationRequest, reason: str) -> tuple[UnitScore, ...]:
    return tuple(UnitScore(condition=unit.condition, reason=reason) for unit in request.units)
