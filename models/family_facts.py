"""Types of the rows of families. Loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Family = str
"""Id of a family: the name of its file in models/families/."""
NoisePrediction = Literal["epsilon", "v_prediction"]
"""The target a U-Net is trained to predict: the noise, or the velocity."""
Prediction = NoisePrediction | Literal["flow"]
"""The target of any network; a flow is the direction from the picture to the noise."""
Guidance = Literal["batched", "two_passes", "distilled", "none"]
"""Implementation of guidance: both sides in one batch, in two passes, as one more input of the network, or none."""
Capability = Literal[
    "loras",
    "t2i_adapters",
    "ip_adapters",
    "guidance_sides",
    "prompt_parts",
    "resolutions",
    "control_prompts",
    "control_forms",
    "control_masks",
    "control_weights",
    "control_strength",
]
"""Features that a request may need and a family may lack."""
Layers = tuple[tuple[str, tuple[str, ...]], ...]
"""Of an authors' layer, the layers that diffusers has for it; {} is a number."""
Rows = tuple[tuple[float, float, float], ...]

UNET_PARTS = (
    (r"(^|\.)(controlnet_down_blocks\.\d+|zero_convs\.\d+\.0)\.weight$", 0),
    (r"(^|\.)(controlnet_mid_block|middle_block_out\.0)\.weight$", 0),
)
"""`control_parts` of a ControlNet of a U-Net, in diffusers' layout and in the original."""
TINY_WORDS = 16
"""Numbers per word of the text encoders of miniatures."""
NETWORK_PREFIXES = ("", "model.diffusion_model.", "diffusion_model.")
"""Before the names of tensors in files that hold the network of every step."""
TWO_TEXT_STREAMS = "text_time"
"""`addition_embed_type` of a U-Net that also reads pooled words and sizes."""
CAPABILITY_TITLES: Mapping[Capability, str] = MappingProxyType(
    {
        "loras": "LoRAs",
        "t2i_adapters": "T2I-Adapters",
        "ip_adapters": "image prompts (IP-Adapters)",
        "guidance_sides": "control of one side of guidance alone",
        "prompt_parts": "guidance by a second prompt",
        "resolutions": "weights by resolution",
        "control_prompts": "ControlNets that read text",
        "control_forms": "ControlNets with two forms",
        "control_masks": "control of parts of the picture",
        "control_weights": "weights by block or by side of guidance",
        "control_strength": "control strengths besides 0 and 1",
    }
)


@dataclass(frozen=True)
class Defaults:
    """Settings a base model starts with: side of the square picture in px, guidance scale, steps."""

    size: int
    guidance_scale: float
    num_inference_steps: int


@dataclass(frozen=True, kw_only=True)
class Miniature:
    """A base of the family as small as tests need it: see models.tiny."""

    network: Mapping[str, Any]
    """Config of its network."""
    scheduler: Mapping[str, Any]
    """Config of its scheduler."""
    text_encoders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Changes to the smallest configs of its text encoders, by class."""
    guidance_scale: float | None = None
    """None where it is the family's."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Millions of numbers in the networks of a family's bases, and in a whole ControlNet; counted on their real configs."""

    network: float
    controlnet: float
    text_encoders: float
    vae: float


@dataclass(frozen=True)
class OriginalEncoder:
    """A text encoder in a base model of one file."""

    prefix: str
    """Before the names of its tensors."""
    open_clip: bool = False
    """Trained by OpenCLIP, whose tensors, activation and padding differ from CLIP's."""
    projects: bool = False
    """Has a projection of the pooled words, which the U-Net reads."""


@dataclass(frozen=True, kw_only=True)
class InnerEncoder:
    """A text encoder of transformers in a file with other parts of a base."""

    folder: str
    """Its folder in a base."""
    prefix: str
    """Pattern of what stands before the names of its tensors."""
    ends: tuple[str, ...]
    """Names behind it that a file must have, so that the encoder is used."""
    renamed: tuple[tuple[str, str], ...] = ()
    """Beginnings of names in files, with those of the class; the first that fits counts."""
    shared: tuple[tuple[str, str], ...] = ()
    """Tensors of the class that a file may lack, each with the one whose numbers it has."""
    identity: tuple[str, ...] = ()
    """Matrices that do nothing in the family's bases, and that its authors' code does not read from a file."""
    unread: tuple[str, ...] = ()
    """Layers whose output nothing reads, which a file may lack."""


@dataclass(frozen=True, kw_only=True)
class OneFile:
    """Parts that a single-file base model in the original layout does not contain."""

    text_encoders: tuple[OriginalEncoder, ...]
    latent_side: int
    """Side of the latents in training."""
    latent_side_v: int
    """The same for bases that predict velocity."""
    upcast_attention: bool = False
    heads: int | None = None
    """Attention heads of every level; None where a head has 64 channels and wider levels have more of them."""


@dataclass(frozen=True, kw_only=True)
class FamilyFacts:
    """A row of the table."""

    id: Family
    title: str
    """As it stands in a sentence."""
    backbone: str = "unet"
    """Name of a file in cnet_app/diffusion/backbones/."""
    defaults: Defaults
    undistilled: Defaults | None = None
    """Settings of a base whose index does not name it distilled; None where no index tells."""
    hides_distillation: bool = False
    """Neither files nor folders of its bases show whether they are distilled, so that one of a user's own starts as if it was."""
    conditioning_scale: float = 1.0
    """Control strength that a unit starts with."""
    parameters: Parameters
    control_blocks: int
    """Blocks of a ControlNet of the family that have a weight each, the middle block included; rows of others have their own."""
    control_parts: tuple[tuple[str, int], ...] = UNET_PARTS
    """Patterns that match the name of one tensor of each such block in a file, with the base's blocks that the blocks are spread
    over: those that find none left have no weight. 0 where each has one."""

    side_multiple: int = 8
    """Pictures are padded to sides that are multiples of it, in px."""
    latent_reduction: int = 8
    """Side of the picture over side of the latents."""
    latent_channels: int
    latent_scaling: float | None = None
    """Factor on an AutoencoderKL's latents; None where the base's own autoencoder scales by itself."""
    latent_shift: float | None = None
    """Subtracted from an AutoencoderKL's latents before they are scaled; None where nothing is."""
    overflows_half: bool = False
    """Networks and text encoder overflow in float16, so that their half precision is bfloat16."""
    vae_overflows_half: bool = False
    """The autoencoder overflows in float16, unless its config has `force_upcast` false."""
    preview: Rows | None = None
    """Linear map from latent channels to RGB in [-1, 1], the last row added; None decodes the preview."""

    predictions: tuple[Prediction, ...]
    """Targets that published bases of the family predict."""
    shift_by_steps: bool = False
    """Noise levels are shifted by the number of steps, besides that of tokens."""
    steps_to_end: bool = False
    """The last step begins at the last noise level of the training, whatever the number of steps; else one step before the end."""
    zero_terminal_snr: bool = False
    """Its bases start from pure noise: their last timestep holds no signal."""
    guidance: Guidance = "batched"
    resolutions: bool = True
    """Places of residuals differ in resolution, so that weights by resolution have a meaning."""
    latent_hints: bool = False
    """Its ControlNets, or the base itself, read a map as latents, which the base's autoencoder makes."""
    references: bool = False
    """Its control units have no network of their own: the base reads their maps as further tokens of the picture."""
    reference_strength: bool = False
    """The strength of such a unit acts in attention; without it a map is read, or it is not."""
    control_prompts: bool = True
    """Its ControlNets read text, so that one may have a prompt of its own."""
    control_forms: bool = False
    """Its ControlNets are computed in two ways: as their authors do, and as diffusers does."""
    linear_projection: bool = False
    """Linear layers around attention, `use_linear_projection`; SD 1.5 alone has convolutions."""
    size_conditions: bool = False
    """The network also reads pooled words, the picture's size and its crop."""

    text_widths: tuple[int, ...] = ()
    """Numbers per word of each published CLIP text encoder; empty where the family has other encoders."""
    words_width: int | None = None
    """Numbers per word that a U-Net reads, by which its files are told apart; None for other networks."""
    text_encoders: int = 1
    optional_text_encoders: int = 0
    """Of these, the last ones that a base may lack."""
    penultimate_words: bool = False
    """Words are read from the encoders' last layer but one."""
    zero_negative: bool = False
    """An absent negative prompt is zeros, not the encoding of the empty text."""

    shares_with: Family | None = None
    """Family whose ControlNets and LoRAs fit this one too; None where it has its own."""
    inpainting_channels: int | None = None
    """Input channels of an inpainting base: latents, mask and known latents; None where there are none."""
    t2i_square: int | None = None
    """Side in px of the squares that a T2I-Adapter of the family reads; None where there are no T2I-Adapters."""
    loras: bool = True
    layer_marks: tuple[tuple[str, int], ...] = ()
    """Patterns of the names of layers, in networks and LoRAs of the family, with the channels that such a layer reads; empty
    where only shapes show the family."""
    twin_blocks: int = 0
    """Blocks of two streams whose attention has the names and the width of other families' that have such blocks too, so that a
    LoRA of that attention alone tells its family only by the blocks that it changes; 0 where nothing is shared."""
    original_layers: Layers = ()
    """Parts of layers' names in the authors' code that differ from diffusers'."""
    ip_adapters: bool = True
    one_file: OneFile | None = None
    """None where a base of one file cannot be read."""
    pipeline_class: str = "StableDiffusionPipeline"
    """Of diffusers, that reads a base in folder format."""
    network_folder: str = "unet"
    """Folder there of the network that runs at every step."""
    network_class: str = "UNet2DConditionModel"
    """That network's, in diffusers."""
    base_by_tensor: tuple[tuple[str, str], ...] = ()
    """Ends of the names of tensors, each with the catalogue id of the base that completes a file with such a tensor. The first
    that a file has counts, and "" ends every name; a file with none is completed by the family's own base."""
    base_by_config: tuple[tuple[str, Any, str], ...] = ()
    """Keys of the network's config, each with a value and with the catalogue id of the base that has it; the first that fits a base
    in a folder counts. One that none fits has a network like that of the family's own base."""
    block_numbers: tuple[tuple[str, int], ...] = ()
    """Keys of the network's config that count its blocks, each with the numbers of one such block over the square of the network's
    width; a list counts its items. Empty where a config alone does not show the size."""
    inner_encoders: tuple[InnerEncoder, ...] = ()
    """Text encoders that are used where they lie in a file with other parts of a base; all others are those of the catalogue's base."""
    control_class: str = "ControlNetModel"
    """A ControlNet's, in diffusers; empty where there are none."""
    network_marks: tuple[frozenset[str], ...] = ()
    """Sets of tensor names. A file that has all names of one set holds this network; empty where such a file is not read."""
    control_marks: tuple[frozenset[str], ...] = ()
    """The same for ControlNets, which `read_control` of models/layouts/<id>.py reads; empty where only shapes show the family."""
    vae_classes: tuple[str, ...] = ("AutoencoderKL", "AutoencoderTiny")
    """An autoencoder's, in diffusers."""
    text_encoder_classes: tuple[str, ...] = ("CLIPTextModel", "CLIPTextModelWithProjection")
    """Of transformers, that a base's index may name."""
    tokenizer_classes: tuple[str, ...] = ("CLIPTokenizer", "CLIPTokenizer")
    """Of transformers, in the order of the text encoders."""

    def has(self, capability: Capability) -> bool:
        """Return whether the family has the capability."""
        match capability:
            case "loras":
                return self.loras
            case "ip_adapters":
                return self.ip_adapters
            case "t2i_adapters":
                return self.t2i_square is not None
            case "guidance_sides" | "prompt_parts":
                return self.guidance in ("batched", "two_passes")
            case "resolutions":
                return self.resolutions
            case "control_prompts":
                return self.control_prompts
            case "control_forms":
                return self.control_forms
            case "control_masks" | "control_weights":
                return not self.references
            case "control_strength":
                return not self.references or self.reference_strength
