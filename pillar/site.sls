#!yaml
# What is the same for all courses of a school, in the formulas' own keys (each formula's README lists them).
letsencrypt:
  # Let's Encrypt; while trying things out use https://acme-staging-v02.api.letsencrypt.org/directory
  directory: https://acme-v02.api.letsencrypt.org/directory
