"""Judging: from a submission's files to a record per test."""
