"""A site.toml proposed from a table and a folder of images, with the reason for each guess."""
