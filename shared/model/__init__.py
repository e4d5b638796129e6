"""The network: backbones as ordered stages, freezing, and the pretrained base."""
