"""LoRAs: files in all layouts, the updates of layers in them, and their use on a base."""
