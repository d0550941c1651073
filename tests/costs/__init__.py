"""What models compute and move, against counts that we did not make."""
