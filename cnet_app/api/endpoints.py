"""The endpoints for programs, without the server: cnet_app.ui.endpoints serves them. docs/api.md describes them."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from annotators.base import Image
from cnet_app.api.describe import describe_conditions, describe_models
from cnet_app.api.jobs import describe_job, describe_record
from cnet_app.api.requests import file_path, make_map, read_generation, read_map_call
from cnet_app.api.score import score_picture
from cnet_app.jobs.runner import BASE_WAIT, Runner
from cnet_app.maps.annotate import Maps
from cnet_app.request.checks.known import check_known
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.wildcards import Wildcards, resolve_request
from cnet_app.request.sizes import size_of
from cnet_app.settings import Settings
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS, InputError, StudioError

LOG = logging.getLogger(__name__)
File = dict[str, Any]
"""{"path": …, "meta": {"_type": "gradio.FileData"}}: an uploaded file, or one that the caller can fetch."""
Object = dict[str, Any]
NAMES = ("conditions", "models", "annotate", "generate", "jobs", "cancel", "score", "library")
"""The endpoints: /conditions and so on."""
LONGEST_WAIT = 60.0
"""Seconds that one call of /jobs may wait."""
LOOK = 0.1
"""Seconds between two looks at a job."""
LISTED = 200
"""Jobs that one call lists at most."""


@dataclass(frozen=True)
class Endpoints:
    """The functions of the endpoints, by their names. Every answer is one JSON object.

    Where something was wrong, it has one field, `error`, with a sentence.
    """

    settings: Settings
    runner: Runner
    maps: Maps
    save_map: Callable[[Image], File]
    """Saves a map where the caller can fetch it."""

    def conditions(self) -> Object:
        """List the conditions with their annotators, parameters and ControlNets."""
        return answer(lambda: {"conditions": describe_conditions(self.maps)})

    def models(self, kind: str = "") -> Object:
        """List the models of a kind, or all, with licence, size, and whether they are on this disk."""
        return answer(lambda: {"models": describe_models(kind)})

    def annotate(
        self,
        condition: str,
        image: File,
        annotator: str = "",
        parameters: Object | None = None,
        width: int = 0,
        height: int = 0,
    ) -> Object:
        """Make the control image of a picture, `map`. A width or height of 0 is the picture's own."""

        def make() -> Object:
            values = {"condition": condition, "image": image, "annotator": annotator, "parameters": parameters}
            call = read_map_call(values, self.maps)
            own = size_of(call.source)
            made = make_map(call, self.maps, width or own[0], height or own[1])
            return {
                "map": self.save_map(made.pixels),
                "annotator": made.annotator,
                "parameters": dict(made.parameters),
                "data": made.data.to_json() if made.data else None,
                "warnings": list(made.warnings),
            }

        return answer(make)

    def generate(
        self,
        prompt: str,
        controls: list[Object] | None = None,
        options: Object | None = None,
        session: str = "",
        admit: Callable[[], None] = lambda: None,
    ) -> Object:
        """Queue a job and return its id, its seed and the warnings of its maps; of a prompt with wildcards `jobs`, one a picture. /jobs follows it."""

        def submit() -> Object:
            known = self.runner.base(BASE_WAIT)
            base = known[0] if known else self.settings.base or GenerationRequest.base
            wanted, warnings = read_generation(prompt, controls or [], options or {}, base, self.maps)
            if not self.settings.is_local:
                check_known(wanted, base)
            admit()
            jobs = self._submit(resolve_request(wanted, Wildcards(follows_links=self.settings.is_local)), session)
            return {"job": jobs[0], "jobs": jobs, "seed": wanted.seed, "width": wanted.width, "height": wanted.height,
                    "warnings": list(warnings)}  # fmt: skip

        return answer(submit)

    def _submit(self, requests: Sequence[GenerationRequest], session: str) -> list[str]:
        """Queue all of them or none."""
        jobs: list[str] = []
        try:
            for request in requests:
                jobs = [*jobs, self.runner.submit(request, session)]
        except StudioError:
            for job in jobs:
                self.runner.cancel(job)
            raise
        return jobs

    def jobs(self, job: str, wait: float = 0.0) -> Object:
        """Return how a job stands; with `wait`, at its end or after so many seconds, at most 60."""

        def follow() -> Object:
            ends = time.monotonic() + min(max(wait, 0.0), LONGEST_WAIT)
            while not (state := self.runner.state(job)).is_over and time.monotonic() < ends:
                time.sleep(LOOK)
            return _with_files(describe_job(state))

        return answer(follow)

    def cancel(self, job: str) -> Object:
        """Cancel a waiting or running job within a step, and return how it stands. Its finished pictures stay."""

        def stop() -> Object:
            self.runner.state(job)  # a job that is not known is an error
            self.runner.cancel(job)
            return _with_files(describe_job(self.runner.state(job)))

        return answer(stop)

    def score(self, picture: File, overlay: bool = False) -> Object:
        """Measure how closely a picture generated here follows its control images, one object per control image.

        With `overlay`, each also has a picture of what agrees and what does not, and its legend.
        """
        save = self.save_map if overlay else None
        return answer(lambda: score_picture(file_path("picture", picture), self.maps, save))

    def library(self, limit: int = 50) -> Object:
        """List the newest jobs with prompt, size, seed and pictures, newest first. Only on the app's own machine."""

        def listed() -> Object:
            if not self.settings.is_local:
                raise InputError(
                    "The library of an app that others can reach is not listed; keep the ids of your jobs."
                )
            if not 1 <= limit <= LISTED:
                raise InputError(f"limit is {limit}, but it must be a whole number from 1 to {LISTED}.")
            return {"jobs": [_with_files(describe_record(record)) for record in self.runner.history(limit)]}

        return answer(listed)


def as_file(path: str) -> File:
    """Return the value that makes `gradio_client` download a file, and names it to other programs."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def answer(make: Callable[[], Object]) -> Object:
    """Return what `make` returns, or the message of its error as `error`; a fault of our own has a number for the log."""
    try:
        with disk_explained():
            return make()
    except USER_ERRORS as error:
        return {"error": str(error)}
    except Exception:
        number = secrets.token_hex(3)
        LOG.exception("Error %s in a call.", number)
        return {"error": f"Something went wrong in the app itself (error {number}); see its log."}


def _with_files(described: Object) -> Object:
    return described | {"pictures": [as_file(path) for path in described["pictures"]]}
