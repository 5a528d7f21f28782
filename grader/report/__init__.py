"""Reports, all drawn from the records that a run leaves behind."""
