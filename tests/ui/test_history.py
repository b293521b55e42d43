"""What the history tells of a recipe."""

from __future__ import annotations

import numpy as np

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.ui.history_tab import recipe_html

PNG = encode_png(np.zeros((64, 64, 3), np.uint8))


def test_a_recipe_names_what_makes_the_picture_and_escapes_it() -> None:
    request = GenerationRequest(
        units=(ControlUnit(condition="canny", control_image=PNG),),
        negative_prompt="<b>dull</b>",
        scheduler="lcm",
        loras=(Lora(name="<i>.pt", scale=0.5), Lora(name="style")),
        vae="a&b",
        ip_adapter=IpAdapter(name="<u>", image=PNG, scale=0.7),
        residual_interval=2,
        initial_image=PNG,
        inpaint_mask=PNG,
        strength=0.6,
    )
    lines = recipe_html(request).split("<br>")
    assert "sampler: LCM" in lines[0]
    assert lines[1:] == [
        "without: &lt;b&gt;dull&lt;/b&gt;",
        "Canny (own map), strength 1, from 0% to 100% of the steps",
        "LoRA &lt;i&gt;.pt, weight 0.5",
        "LoRA style, weight 1",
        "autoencoder (VAE) a&amp;b",
        "IP-Adapter &lt;u&gt; with a picture, strength 0.7",
        "ControlNets once in 2 steps",
        "from a picture, its masked part alone, 60% made anew",
    ]


def test_a_recipe_says_nothing_of_what_it_does_without() -> None:
    assert recipe_html(GenerationRequest()).count("<br>") == 0
