"""What several packages need; it knows neither the star nor a source."""
