"""The version of the application, where `--version` finds it without importing more."""

VERSION = "0.7.0"
