"""Texts of docs/control.md; cnet_app.docs adds the table of modes and the drawings."""

from __future__ import annotations

CONTROL_INTRODUCTION = """\
A ControlNet adds to its base at thirteen places (ten for SDXL): the skip connections of the encoder from the shallowest,
which holds the details, to the deepest, and last the middle block, which holds what the picture is about. Guidance runs the
base twice a step, with the prompt and with the negative prompt, and moves on from the second towards the first. A mode says
how much each block counts, and whether the side of the negative prompt is steered too. FLUX.2 has no ControlNets, and reads
maps itself: what of this page is for it is in [models.md](models.md#flux2)."""
CONTROL_ADVICE = """\
## Which one to take

- **Balanced** is how ControlNets are trained, and right for nearly everything. Lower `conditioning_scale` first where the map
  is too strict.
- Where the prompt is hardly heard: **my prompt is more important**, or end the control early (`end=0.6`).
- Without a prompt, or with one that says something else than the map: **ControlNet is more important** (guess mode), with
  50 steps and guidance 3 to 5. Guidance then strengthens the map, for only the prompt's side has it.
- **Resolution weights** are the paper's own (section 3.4). They reach 8 at the middle block: take them with
  `conditioning_scale` around 0.2, or the normalised ones.
- **Unbalanced** and **custom** are for trying out.

A mode belongs to a unit: several in one picture may have different ones. `guess_mode` sets it for all units.

## Where and when

- `control_guidance_start`, `control_guidance_end`: fractions of the steps. Outside them the ControlNet is not run at all.
  A step runs where it lies whole inside. A range that holds no step, as few steps may leave it, runs the one nearest to its
  middle, and a note names it; a range that ends where it begins is off, which a note says too.
- `strength_curve`: points of fraction and factor, straight lines between them: `curve=0:1/0.5:0` lets go in the first half.
- `depth_curve`: points of depth and factor, in any mode, times the mode's own factors. Depth 0 is the shallowest block, which
  holds the details, 1 the middle block: `depth_curve=0:0/1:1` keeps the map's large shapes and leaves the details to the
  prompt. A ControlNet that averages its residuals over the picture (shuffle) refuses it.
- `mask`: a picture; the unit steers where it is white. `mask_feather` softens its border by so many pixels, and has no effect
  without a mask.
- `weight_map`: a picture, read as grey, in the place of a mask. 255 is weight 1, 128 is 0, and 1 is -1, which pushes away from
  the map; between them it is (grey - 128) / 127. Each block has the mean weight of the area that one of its values covers.
- `prompt`: a text that the ControlNet alone reads, while the base keeps the request's prompt. A layer can so describe the part
  that its map shows. The negative prompt is the request's. An empty text is a prompt too; left out, it is the request's.
  T2I-Adapters read no text, and refuse it.
- `control_form`: how a ControlNet of Z-Image, from version 2.0 on, joins its base. `authors`, as it was trained: its hints for
  the base's first layers, the refiner, change the base's own tokens. `diffusers`, as that library runs it: they change a copy,
  which the rest of the ControlNet reads. Other ControlNets have one form, and refuse the second. Where residuals are not
  proportional to the strength, as here, `residual_interval` runs the network again at a step of another strength.
- `residual_interval`: at 2 ControlNets run at every second step, at 3 at every third, and what they last said is added again
  in between, as strongly as the step asks. That is faster, and makes another picture. T2I-Adapters cost a step nothing, so
  nothing changes for them. `reuse_threshold` spares whole steps: [models.md](models.md#speed).

## Several units

All units add to the same places, and the base sees their sum. Where they fight, lower each `conditioning_scale`, or give them
masks or ranges of their own.

- `norm_preserving`: the sum takes, in each block, the norm of the strongest unit, so that it is never louder than one alone
  and units that pull in different directions do not cancel out. `generate --json` tells under `residual_norms` how much each
  unit adds to each block half-way through the picture.
- A union ControlNet reads many kinds of maps and is in memory once, however many of its inputs are named. Units of one union
  with maps of different kinds are read together in one pass, as it was trained, where their ranges, curves, modes and masks
  are the same; each keeps its own `conditioning_scale`. For `norm_preserving` and `residual_norms` they are one unit. Where
  something differs each has a pass of its own. So it is where the base is a U-Net; unions of Z-Image, Qwen-Image, FLUX.1 and
  Chroma have a pass a unit.

- `cnet_app.request.coverage` draws where all units together push, before a picture is made: for each unit the strength, times
  the mean of range and curve over the steps, times the mean of mode and depth curve over depth, times mask or weight map.
  1 is one unit as trained. Above 1.5 pictures look over-steered (red, striped); below 0 they are pushed away (violet, striped).
- After a run `fighting` reads `residual_norms` and gives a hint. A unit's total is the norm of all its residuals. A unit with
  more than three times another's total drowns it. Where all totals are at least half of the strongest, and together, as
  independent ones add up, more than 1.5 times it, they pile up: two equal units make 1.4, which is usual, three make 1.7.

## Inpainting at full size

`inpaint_area` says how much of `initial_image` is painted again where `inpaint_mask` is white.

- `picture` crops the initial picture to width x height; the finished picture has that size.
- `mask` cuts out the part around the mask, makes it at width x height, and puts it back. The initial picture may have up to
  48 megapixels, the finished one has its size, and is the initial one, bit for bit, where the mask is black. A grey mask
  blends: all that is not black is painted, and put back as strongly as the mask is bright.
- `inpaint_padding` is how many pixels around the mask, of the initial picture, belong to this part: the model sees them. The
  part is widened to the aspect of width x height around the mask, and moved to lie inside the picture. Where the picture is
  too narrow for that, its border is repeated outside, since that distorts nothing; what was made there is left out again.
- The maps of the units are of this part. The command line and the endpoints cut a control's photo, map or people where they
  have the size of the initial picture; anything of another size is taken as a picture of the part itself. Scores compare this
  part alone.

## T2I-Adapters

A T2I-Adapter stands wherever a ControlNet does: `canny=photo.jpg,controlnet=t2iadapter_canny_sdxl`. It looks at the map alone,
neither at the words nor at the step, so that it runs once for the whole picture. It adds at four levels of the encoder instead
of at every block: a mode weighs these levels, custom weights are four numbers, and strength, ranges, curves and masks work as
for ControlNets. Both may steer one picture together."""
