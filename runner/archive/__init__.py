"""What is kept of a term: one encrypted archive, and a zip of each student's own files."""
