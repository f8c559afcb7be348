"""Pure rules: Arrow in, Arrow out. It opens nothing."""
