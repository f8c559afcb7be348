"""The benchmark: the pipeline's runs beside what the hardware and plain SQL need for the same."""
