"""What is chosen once for every tab: base model, LoRAs and other additions, and a picture to start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from cnet_app.registry.presets import FEW_STEPS
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, IpAdapter, Lora
from cnet_app.ui.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.mask_editor import build_mask_editor, read_masked_picture
from models.catalog import TITLES, Kind, size_text
from models.local import LocalKind, local_files
from models.own import known_rows
from models.weights import find_row

LORAS = 3
"""How many can be chosen at once."""
START_STRENGTH = 0.6
"""Enough to change a picture, not so much that nothing of it is left."""
RELOAD = "Reload the page to see files that were just put into models/."
PRESET_FIELDS = ("scheduler", "num_inference_steps", "guidance_scale")
Choices = list[tuple[str, str]]


class Panel:
    """Components by name, built inside the open gr.Blocks; `read` turns their values into fields of a request."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._choices: dict[str, tuple[Kind, LocalKind | None, str]] = {}
        with gr.Accordion("Model, LoRAs and speed, for every tab", open=False, elem_id="model"):
            self._build_models()
            with gr.Row(equal_height=True):
                self._add_number("residual_interval", REQUEST_LIMITS["residual_interval"])
                self.unload = gr.Button("Unload the models", size="sm", scale=0, min_width=180, elem_id="model-unload")
        with gr.Accordion("Start from a picture, for every tab", open=False, elem_id="start"), gr.Row():
            with gr.Column(scale=2, min_width=300):
                self.fields["picture"] = build_mask_editor("start-picture")
            with gr.Column(scale=1, min_width=220):
                self._add_number("strength", REQUEST_LIMITS["strength"], value=START_STRENGTH)
                self.fields["inpaint_mask"] = photo_input(
                    "Or a mask: white is made anew", ["upload", "clipboard"], elem_id="start-mask", height=230
                )

    def _build_models(self) -> None:
        with gr.Row():
            self._add_choice("base", "Base model", "base", "base", "The best for this machine", info=RELOAD)
            self._add_choice(
                "vae", "Autoencoder (VAE)", "vae", "vae", "The model's own", info="Makes pixels of latents."
            )
            titles = [f"{row.title} for {TITLES[row.family]}, {row.num_inference_steps} steps" for row in FEW_STEPS]
            presets = [("Off", ""), *((title, row.id) for title, row in zip(titles, FEW_STEPS, strict=True))]
            self.preset = gr.Dropdown(
                presets, value="", label="Few steps", info="Sets LoRA 1, sampler, steps and guidance.", elem_id="model-preset"
            )  # fmt: skip
        for number in range(1, LORAS + 1):
            with gr.Row():
                self._add_choice(f"lora_{number}", f"LoRA {number}", "lora", "lora", "None")
                self._add_number(f"scale_{number}", LORA_LIMITS["scale"], label=f"Strength of LoRA {number}")
        with gr.Row(equal_height=True):
            with gr.Column(min_width=220):
                self._add_choice("ip_adapter", "IP-Adapter", "ip_adapter", None, "Off")
                self._add_number("ip_scale", IP_ADAPTER_LIMITS["scale"], label="Strength of its picture")
            self.fields["ip_image"] = photo_input(
                "Picture that speaks beside the prompt", elem_id="model-ip_image", height=200
            )

    def _add_choice(
        self, name: str, label: str, kind: Kind, local: LocalKind | None, nothing: str, **options: Any
    ) -> None:
        self._choices[name] = (kind, local, nothing)
        self.fields[name] = gr.Dropdown(
            available(kind, local, nothing), value="", label=label, elem_id=f"model-{name}", min_width=220, **options
        )

    def _add_number(self, name: str, limit: Any, **options: Any) -> None:
        self.fields[name] = parameter_input(name, limit, elem_id=f"model-{name}", min_width=160, **options)

    @property
    def components(self) -> list[Any]:
        """In the order `read` wants their values."""
        return list(self.fields.values())

    @property
    def choices(self) -> list[Any]:
        """Those that list models; see `refreshed`."""
        return [self.fields[name] for name in self._choices]

    def refreshed(self) -> list[Any]:
        """For `choices`: with what was dropped into the folders, or downloaded, meanwhile."""
        return [gr.Dropdown(choices=available(*given)) for given in self._choices.values()]

    def connect(self, form: Mapping[str, Any], hidden: Mapping[str, Any]) -> None:
        """A preset fills in what it stands for, here and in the form; choosing none leaves all as it is."""
        targets = [form[name] for name in PRESET_FIELDS]

        def fill(id: str) -> list[Any]:
            if not id:
                return [gr.skip()] * (2 + len(targets))
            row = next(row for row in FEW_STEPS if row.id == id)
            values = [getattr(row, name) for name in PRESET_FIELDS]
            return [row.lora, 1.0, *values]

        self.preset.input(fill, self.preset, [self.fields["lora_1"], self.fields["scale_1"], *targets], **hidden)

    def read(self, values: Sequence[Any], base: str) -> dict[str, Any]:
        """Fields of a request; `base` is taken where none is chosen. Raises InputError."""
        given = dict(zip(self.fields, values, strict=True))
        picture, painted = read_masked_picture(given["picture"])
        mask = encode_png(read_photo(given["inpaint_mask"])) if given["inpaint_mask"] else painted
        fields = {
            "base": given["base"] or base,
            "vae": given["vae"] or None,
            "loras": tuple(self._loras(given)),
            "ip_adapter": _ip_adapter(given),
            "residual_interval": given["residual_interval"],
        }
        if picture is not None:
            fields |= {"initial_image": picture, "inpaint_mask": mask, "strength": given["strength"]}
        return fields

    def _loras(self, given: dict[str, Any]) -> Iterator[Lora]:
        for number in range(1, LORAS + 1):
            if given[f"lora_{number}"]:
                yield Lora(name=given[f"lora_{number}"], scale=given[f"scale_{number}"])


def _ip_adapter(given: dict[str, Any]) -> IpAdapter | None:
    if not given["ip_adapter"]:
        return None
    picture = read_photo(given["ip_image"], "The IP-Adapter has no picture yet; give it one, or set it to Off.")
    return IpAdapter(name=given["ip_adapter"], image=encode_png(picture), scale=given["ip_scale"])


def available(kind: Kind, local: LocalKind | None, nothing: str) -> Choices:
    """No choice at all, then the user's own files, then the catalogue's rows, each saying what would be downloaded."""
    files = local_files(local) if local else []
    own = [(f"{file.name} ({TITLES[file.family]})" if file.family else file.name, file.name) for file in files]
    rows = [row for row in known_rows() if row.kind == kind]
    offered = [(row.title + ("" if find_row(row) else f" ({size_text(row.size)} to download)"), row.id) for row in rows]
    return [(nothing, ""), *own, *offered]
