"""The CereStim 96 below what stimulates: link and modules, then limits, patterns, scripts."""
