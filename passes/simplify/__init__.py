"""Operators that do nothing go, and chains of one operator become one."""
