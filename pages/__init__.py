"""What people look at in a browser: the page of a run, and what a notebook shows."""
