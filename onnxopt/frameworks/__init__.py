"""One file a framework that models come from; each imports its framework late."""
