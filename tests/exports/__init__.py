"""What frameworks export."""
