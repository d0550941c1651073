"""Several operators become one."""
