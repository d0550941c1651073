"""What is known of each operator: one row takes what its inputs are to what its outputs are."""
