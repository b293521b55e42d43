"""The kinds of inputs: one row each."""

from __future__ import annotations

from functools import partial

from benchmarks.fuzz.attempt import Kind, always
from benchmarks.fuzz.pickles import make_pickle
from benchmarks.fuzz.pictures import make_picture, read_picture_role
from benchmarks.fuzz.posts import RefusedError, make_endpoint_call, make_post, open_calls, open_endpoints
from benchmarks.fuzz.recipes import make_pose, make_recipe, make_task, read_pose_file, read_recipes, read_task
from benchmarks.fuzz.texts import (
    make_prompt,
    make_settings,
    make_table,
    make_users,
    make_wildcards,
    read_all_settings,
    read_prompt,
    read_tables,
    read_users_file,
    read_wildcards,
)
from benchmarks.fuzz.weights import make_safetensors, make_sidecars, read_sidecars, read_weights

KINDS = (
    Kind("pictures", "Pictures in every role", 20, make_picture, partial(always, read_picture_role)),
    Kind("recipes", "Recipes in pictures, six programs' and ours", 12, make_recipe, partial(always, read_recipes)),
    Kind("tasks", "Requests as JSON", 8, make_task, partial(always, read_task)),
    Kind("poses", "Poses as JSON", 7, make_pose, partial(always, read_pose_file)),
    Kind("safetensors", "Weights: safetensors", 10, make_safetensors, partial(always, read_weights)),
    Kind("pickles", "Weights: pickles", 8, make_pickle, partial(always, read_weights)),
    Kind("sidecars", "Settings next to weights", 4, make_sidecars, partial(always, read_sidecars)),
    Kind("prompts", "Prompts", 6, make_prompt, partial(always, read_prompt)),
    Kind("wildcards", "Wildcard files", 3, make_wildcards, partial(always, read_wildcards)),
    Kind("tables", "Tables of a batch", 4, make_table, partial(always, read_tables)),
    Kind("users", "Files of users", 1, make_users, partial(always, read_users_file)),
    Kind("settings", "Variables and flags", 3, make_settings, partial(always, read_all_settings)),
    Kind("calls", "Calls of the page, posted", 10, make_post, open_calls, (RefusedError,)),
    Kind("endpoints", "Calls of programs", 4, make_endpoint_call, open_endpoints, (RefusedError,)),
)
