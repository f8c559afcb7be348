"""How bytes become batches of text; it knows no star."""
