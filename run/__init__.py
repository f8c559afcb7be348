"""What a run is, beside the data."""
