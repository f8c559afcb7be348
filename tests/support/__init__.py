"""What the tests share. No test module imports from another one."""
