"""How much each operator computes, by family."""
