"""The names of transformers that are used here, each from its own module: pyright need not read the two thousand files of all models."""

from transformers.models.auto.image_processing_auto import AutoImageProcessor as AutoImageProcessor
from transformers.models.beit.configuration_beit import BeitConfig as BeitConfig
from transformers.models.clip.configuration_clip import CLIPConfig as CLIPConfig
from transformers.models.clip.configuration_clip import CLIPTextConfig as CLIPTextConfig
from transformers.models.clip.configuration_clip import CLIPVisionConfig as CLIPVisionConfig
from transformers.models.clip.image_processing_clip import CLIPImageProcessor as CLIPImageProcessor
from transformers.models.clip.modeling_clip import CLIPModel as CLIPModel
from transformers.models.clip.modeling_clip import CLIPTextModel as CLIPTextModel
from transformers.models.clip.modeling_clip import CLIPTextModelWithProjection as CLIPTextModelWithProjection
from transformers.models.clip.modeling_clip import CLIPVisionModelWithProjection as CLIPVisionModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer as CLIPTokenizer
from transformers.models.convnext.configuration_convnext import ConvNextConfig as ConvNextConfig
from transformers.models.depth_anything.configuration_depth_anything import DepthAnythingConfig as DepthAnythingConfig
from transformers.models.depth_anything.modeling_depth_anything import (
    DepthAnythingForDepthEstimation as DepthAnythingForDepthEstimation,
)
from transformers.models.dinov2.configuration_dinov2 import Dinov2Config as Dinov2Config
from transformers.models.dpt.configuration_dpt import DPTConfig as DPTConfig
from transformers.models.dpt.image_processing_dpt import DPTImageProcessor as DPTImageProcessor
from transformers.models.dpt.modeling_dpt import DPTForDepthEstimation as DPTForDepthEstimation
from transformers.models.oneformer.configuration_oneformer import OneFormerConfig as OneFormerConfig
from transformers.models.oneformer.image_processing_oneformer import OneFormerImageProcessor as OneFormerImageProcessor
from transformers.models.oneformer.modeling_oneformer import (
    OneFormerForUniversalSegmentation as OneFormerForUniversalSegmentation,
)
from transformers.models.oneformer.processing_oneformer import OneFormerProcessor as OneFormerProcessor
from transformers.models.segformer.image_processing_segformer import SegformerImageProcessor as SegformerImageProcessor
from transformers.models.swin.configuration_swin import SwinConfig as SwinConfig
from transformers.models.upernet.configuration_upernet import UperNetConfig as UperNetConfig
from transformers.models.upernet.modeling_upernet import (
    UperNetForSemanticSegmentation as UperNetForSemanticSegmentation,
)
from transformers.models.zoedepth.configuration_zoedepth import ZoeDepthConfig as ZoeDepthConfig
from transformers.models.zoedepth.image_processing_zoedepth import ZoeDepthImageProcessor as ZoeDepthImageProcessor
from transformers.models.zoedepth.modeling_zoedepth import ZoeDepthForDepthEstimation as ZoeDepthForDepthEstimation
from transformers.pipelines import pipeline as pipeline
