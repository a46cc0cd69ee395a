"""Vehicles and people."""
