"""The domains: one folder a job. They never import each other; they meet in the tables."""
