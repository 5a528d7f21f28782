"""The labs' tests: one `test_NN_name.py` and one scenario class (`name.py`) per lab."""
