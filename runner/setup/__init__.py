"""What a teacher sets up on other sites: the sign-in provider's form, the git host's deploy keys."""
