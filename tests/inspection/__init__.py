"""What is said of models, against counts made in other ways."""
