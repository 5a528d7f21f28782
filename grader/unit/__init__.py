"""Host tests of the labs' pieces: `make unit`, `make fuzz`."""
