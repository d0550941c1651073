"""The passes: one file a pass, one folder a family."""
