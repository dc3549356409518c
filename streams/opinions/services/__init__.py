"""Services that are asked: one file each, found by walking; its name is that in the settings."""
