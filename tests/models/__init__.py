"""Tests of what makes models."""
