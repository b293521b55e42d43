"""Training of ControlNets, on any pairs of pictures and maps, for every family with a file in `trainable/`."""
