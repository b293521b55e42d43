"""Encoders and resizing of control images, one for each kind of map, shared by annotators, training data and tests."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.maps.kinds import MapKind
from annotators.sources.images import ResizeMode, fit_inside, pad, resize

# The 150 classes of the MIT Scene Parsing benchmark in order, and their colours in the training of the ControlNets.
ADE20K_CLASSES: tuple[str, ...] = tuple(
    """wall,building,sky,floor,tree,ceiling,road,bed,window,grass,cabinet,sidewalk,person,earth,door,table,mountain,
    plant,curtain,chair,car,water,painting,sofa,shelf,house,sea,mirror,rug,field,armchair,seat,fence,desk,rock,
    wardrobe,lamp,bathtub,railing,cushion,base,box,column,signboard,chest of drawers,counter,sand,sink,skyscraper,
    fireplace,refrigerator,grandstand,path,stairs,runway,case,pool table,pillow,screen door,stairway,river,bridge,
    bookcase,blind,coffee table,toilet,flower,book,hill,bench,countertop,stove,palm,kitchen island,computer,
    swivel chair,boat,bar,arcade machine,hovel,bus,towel,light,truck,tower,chandelier,awning,street light,booth,
    television,airplane,dirt track,apparel,pole,land,banister,escalator,ottoman,bottle,buffet,poster,stage,van,ship,
    fountain,conveyer belt,canopy,washer,toy,swimming pool,stool,barrel,basket,waterfall,tent,bag,minibike,cradle,
    oven,ball,food,step,tank,trade name,microwave,pot,animal,bicycle,lake,dishwasher,screen,blanket,sculpture,hood,
    sconce,vase,traffic light,tray,trash can,fan,pier,crt screen,plate,monitor,bulletin board,shower,radiator,glass,
    clock,flag""".replace("\n    ", "").split(",")
)
ADE20K_PALETTE: NDArray[np.uint8] = np.frombuffer(
    bytes.fromhex(
        "787878b4787806e6e650323204c8037878508c8c8ccc05ffe6e6e604fa07e005ffebff0796053d78784608ff33ff0652"
        "8fff8cccff04ff3307cc46030066c83de6faff06330b66ffff0747ff09e00907e6dcdcdcff095c7009ff08ffd607ffe0"
        "ffb8060aff47ff290a07ffffe0ff086608ffff3d06ffc207ff7a0800ff14ff0829ff05990633ffeb0cffa0961400a3ff"
        "8c8c8cfa0a0f14ff001fff00ff1f00ffe00099ff000000ffff470000ebff00adff1f00ff0bc8c8ff520000fff5003dff"
        "00ff7000ff85ff0000ffa300ff6600c2ff00008fff33ff000052ff00ff2900ffad0a00ffadff0000ff99ff5c00ff00ff"
        "ff00f5ff0066ffad00ff0014ffb8b8001fff00ff3d0047ffff00cc00ffc200ff52000aff0070ff3300ff00c2ff007aff"
        "00ffa3ff990000ff0aff70008fff005200ffa3ff00ffeb0008b8aa8500ff00ff5cb800ffff001f00b8ff00d6ffff0070"
        "5cff0000e0ff70e0ff46b8a0a300ff9900ff47ff00ff00a3ffcc00ff008f00ffeb85ff00ff00ebf500ffff007afff500"
        "0abed4d6ff0000ccff1400ffffff000099ff0029ff00ffcc2900ff29ff00ad00ff00f5ff4700ff7a00ff00ffb8005cff"
        "b8ff000085ffffd60019c2c266ff005c00ff"
    ),
    np.uint8,
).reshape(150, 3)
ADE20K_COLOURS: Image = np.concatenate([np.zeros((1, 3), np.uint8), ADE20K_PALETTE])
"""(151, 3): black for no class, then the colours of the classes."""


def lines(mask: NDArray[Any]) -> Image:
    """(H, W) bool or grey 0 to 255 → a map, white on black."""
    if mask.dtype == np.bool_:
        mask = mask.astype(np.uint8) * np.uint8(255)
    elif mask.dtype != np.uint8:
        mask = np.clip(np.rint(mask), 0, 255).astype(np.uint8)
    return cv2.merge([mask] * 3)  # pyright: ignore[reportReturnType] - uint8 stays uint8


def unit_range(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values stretched to [0, 1]; 0 where they differ by rounding errors only."""
    floats = np.asarray(values, np.float32)
    low, high = float(floats.min()), float(floats.max())
    flat = high - low <= 1e-5 * max(abs(low), abs(high))
    return (floats - np.float32(low)) * np.float32(0 if flat else 1 / (high - low))


def encode_depth(inverse_depth: NDArray[Any]) -> Image:
    """(H, W) inverse depth of any scale → grey over the full range, near is white; a single depth is black."""
    return lines(unit_range(inverse_depth) * 255)


def encode_normal(normal: NDArray[Any]) -> Image:
    """(H, W, 3) unit vectors (x right, y up, z to the viewer) → red left, green top, blue front.

    A zero vector (no surface) becomes (128, 128, 255), which faces the viewer, as in published maps.
    """
    vectors = np.asarray(normal, np.float32) * np.array([-1, 1, 1], np.float32)
    vectors = np.where(np.any(vectors != 0, axis=2, keepdims=True), vectors, np.array([0, 0, 1], np.float32))
    return np.clip(np.rint(vectors * 127.5 + 127.5), 0, 255).astype(np.uint8)


def encode_segmentation(classes: NDArray[Any]) -> Image:
    """(H, W) ADE20K class indices 0 to 149 → palette colours; -1 and 255 (no class) become black."""
    index = np.asarray(classes).astype(np.int64)
    known = (index >= 0) & (index < len(ADE20K_PALETTE))
    return np.where(known[..., None], ADE20K_PALETTE[np.where(known, index, 0)], 0).astype(np.uint8)


def colour_codes(colours: Image) -> NDArray[np.int32]:
    """(…, 3) → (…): one number for each colour."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def resize_map(image: Image, kind: MapKind, width: int, height: int, mode: ResizeMode = "crop") -> Image:
    """Return a map at another size: thin lines stay thin, palette colours stay unmixed, a pad is the kind's background."""
    if mode == "pad":
        small = resize_map(image, kind, *fit_inside(image.shape[1], image.shape[0], width, height), "stretch")
        return pad(small, width, height, kind.background)
    if kind.id == "lines":
        return resize_lines(image, width, height, mode)
    return resize(image, width, height, mode, nearest=kind.nearest)


def resize_lines(image: Image, width: int, height: int, mode: Literal["crop", "stretch"] = "crop") -> Image:
    """Return a map of pure white lines at another size: lines one pixel wide stay so, bold strokes scale with the picture.

    A picture with greys is resized like any picture.
    """
    old_height, old_width = image.shape[:2]
    white = image.min(axis=2) > 231
    bare = (white | (image.max(axis=2) < 24)).mean() > 0.99 and white.mean() < 0.5
    if (old_width, old_height) == (width, height) or not bare:
        return resize(image, width, height, mode)
    strokes = white.astype(np.uint8)
    fine = cv2.erode(strokes, np.ones((3, 3), np.uint8)).sum() < 0.02 * strokes.sum()
    if not fine:
        return lines(resize(image, width, height, mode)[..., 0] > 127)
    from skimage.morphology import skeletonize

    # Widened so that no line falls between the sampled pixels, and thinned again afterwards.
    gap = max(1, round(min(old_width / width, old_height / height)))
    bolder = cv2.dilate(strokes, np.ones((gap, gap), np.uint8))
    return lines(skeletonize(resize(lines(bolder > 0), width, height, mode)[..., 0] > 100))


def is_blank(control_image: Image) -> bool:
    """Return whether a map has nearly one colour, and so no effect."""
    channels = (control_image[..., channel] for channel in range(control_image.shape[-1]))
    return all(int(channel.max()) - int(channel.min()) < 8 for channel in channels)
