"""The prose of docs/samplers.md; the table between is written from the registry."""

from __future__ import annotations

SAMPLERS_INTRODUCTION = """\
`--scheduler` on the command line, Sampler on the page. "ok" is tried at any number of steps from 1 to 150 with the schedule
of the family's published bases: all timesteps and noise levels are finite, and a model that knows the picture is led to it.
"not for" is refused in a sentence that names those that work: a base trained with zero terminal SNR starts from pure noise,
which these samplers divide by. The same holds for a fine-tune of another family that was trained so. A base
of flow matching, such as Z-Image, takes the samplers that have a form for it, at even spacing."""

SAMPLERS_ADVICE = """\
## Few steps

Samplers that space their steps evenly and end before pure noise begin too late at one or two steps: noise stays in the
picture, and a note says so. `ddim_trailing` and `euler_trailing` begin at the noisiest step at any number.

## Starting from a picture

`strength` is the share of the steps that run, and about as much noise is put over the initial picture: at 0.3 it stays
nearly whole, at 0.9 little of it is left, with every sampler.

- On a base with zero terminal SNR, such as the embedded one, Karras and exponential spacing put most of their steps where
  noise hides any picture. There the steps that run are spaced below the noise of `strength`, so that no sampler loses the
  initial picture.
- On other bases they count steps as diffusers and AUTOMATIC1111's web UI do. Their last steps lie close to the finished
  picture: below a strength of 0.5 they keep more of it than even spacing does.
- A strength that leaves no step (0.1 of 4 steps) is refused."""
