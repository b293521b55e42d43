"""Pictures, maps and latents that the embedded model is trained on."""
