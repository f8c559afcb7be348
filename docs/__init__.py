"""What keeps the documents equal to the code."""
