"""The execution targets: one file each."""
