"""Programs for developers; they share no code with the application."""
