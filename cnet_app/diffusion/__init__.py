"""Request to pictures: our own denoising loop over diffusers' modules and schedulers. Start reading at pipeline.py."""
