"""How settings for somebody's files are found: it looks at them, proposes, and proves."""
