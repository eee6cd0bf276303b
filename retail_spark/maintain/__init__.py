"""Keeps tables small in files and quick to read: the job maintain."""
