"""What people look at during and after a run, and what they ask of the star."""
