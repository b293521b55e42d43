"""Colours of COCO's panoptic classes, things and stuff, as OneFormer and Detectron2 draw them, and their ADE20K classes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

# Name, colour, and the class of ADE20K that shows the same; a dash where there is none.
_ROWS = """
person | dc143c | person
bicycle | 770b20 | bicycle
car | 00008e | car
motorcycle | 0000e6 | minibike
airplane | 6a00e4 | airplane
bus | 003c64 | bus
train | 005064 | -
truck | 000046 | truck
boat | 0000c0 | boat
traffic light | faaa1e | traffic light
fire hydrant | 64aa1e | -
stop sign | dcdc00 | signboard
parking meter | af74af | -
bench | fa001e | bench
bird | a52a2a | animal
cat | ff4dff | animal
dog | 00e2fc | animal
horse | b6b6ff | animal
sheep | 005200 | animal
cow | 78a69d | animal
elephant | 6e4c00 | animal
bear | ae39ff | animal
zebra | c76400 | animal
giraffe | 480076 | animal
backpack | ffb3f0 | bag
umbrella | 007d5c | -
handbag | d10097 | bag
tie | bcd0b6 | apparel
suitcase | 00dcb0 | bag
frisbee | ff63a4 | toy
skis | 5c0049 | -
snowboard | 8581ff | -
sports ball | 4eb4ff | ball
kite | 00e400 | toy
baseball bat | aefff3 | -
baseball glove | 2d59ff | apparel
skateboard | 868667 | -
surfboard | 9194ae | -
tennis racket | ffd0ba | -
bottle | c5e2ff | bottle
wine glass | ab8601 | glass
cup | 6d3f36 | glass
fork | cf8aff | -
knife | 97005f | -
spoon | 09503d | -
bowl | 546933 | pot
banana | 4a4169 | food
apple | a6c466 | food
sandwich | d0c3d2 | food
orange | ff6d41 | food
broccoli | 008f95 | food
carrot | b300c2 | food
hot dog | d1636a | food
pizza | 057900 | food
donut | e3ffcd | food
cake | 93bad0 | food
chair | 994501 | chair
couch | 035fa1 | sofa
potted plant | a3ff00 | plant
bed | 7700aa | bed
dining table | 00b6c7 | table
toilet | 00a578 | toilet
tv | b78258 | television
laptop | 5f2000 | computer
mouse | 827287 | -
remote | 6e8185 | -
keyboard | a64a76 | -
cell phone | db8eb9 | -
microwave | 4fd272 | microwave
oven | b25a3e | oven
toaster | 41460f | -
sink | 7fa773 | sink
refrigerator | 3b696a | refrigerator
book | 8e6c2d | book
clock | c4ac00 | clock
vase | 5f3650 | vase
scissors | 804cff | -
teddy bear | c93901 | toy
hair drier | f6007a | -
toothbrush | bfa2d0 | -
banner | ffff80 | flag
blanket | 93d3cb | blanket
bridge | 966464 | bridge
cardboard | a8abac | box
counter | 9270c6 | counter
curtain | d2aa64 | curtain
door-stuff | 5c8859 | door
floor-wood | da58b8 | floor
flower | f18100 | flower
fruit | d911ff | food
gravel | 7c4ab5 | earth
house | 464646 | house
light | ffe4ff | light
mirror-stuff | 9ad000 | mirror
net | c1005c | -
pillow | 4c5b71 | pillow
platform | ffb4c3 | stage
playingfield | 6a9ab0 | field
railroad | e6968c | -
river | 3c8fff | river
road | 804080 | road
roof | 5c5237 | building
sand | fed47c | sand
sea | 494dae | sea
shelf | ffa062 | shelf
snow | ffffff | -
stairs | 68546d | stairs
tent | a9a483 | tent
towel | e1c7ff | towel
wall-brick | 89364a | wall
wall-stone | 879edf | wall
wall-tile | 07f6e7 | wall
wall-wood | 6bffc8 | wall
water-other | 3a2995 | water
window-blind | b7798e | blind
window-other | ff4961 | window
tree-merged | 6b8e23 | tree
fence-merged | be9999 | fence
ceiling-merged | 928b8d | ceiling
sky-other-merged | 4682b4 | sky
cabinet-merged | 86c79c | cabinet
table-merged | d1e28c | table
floor-other-merged | 60246c | floor
pavement-merged | 606060 | sidewalk
mountain-merged | 40aa40 | mountain
grass-merged | 98fb98 | grass
dirt-merged | d0e5e4 | earth
paper-merged | cebaab | -
food-other-merged | 98a140 | food
building-other-merged | 747000 | building
rock-merged | 00728f | rock
wall-other-merged | 66669c | wall
rug-merged | fa8dff | rug
"""
_TABLE = tuple(tuple(part.strip() for part in row.split("|")) for row in _ROWS.strip().splitlines())
COCO_CLASSES: tuple[str, ...] = tuple(name.removesuffix("-merged").removesuffix("-stuff") for name, _, _ in _TABLE)
COCO_PALETTE: NDArray[np.uint8] = np.array([list(bytes.fromhex(colour)) for _, colour, _ in _TABLE], np.uint8)
"""(133, 3) RGB, in the order of COCO_CLASSES."""
COCO_TO_ADE20K: Mapping[str, str] = MappingProxyType(
    {name: row[2] for name, row in zip(COCO_CLASSES, _TABLE, strict=True) if row[2] != "-"}
)
"""ADE20K's name by COCO's, for the classes that have one."""
