"""What this computer stores about a course's server: its keys, its order, and which verb works on it."""
