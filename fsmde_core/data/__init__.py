"""Readers for recorded datasets; each returns the Samples of sample.py."""
