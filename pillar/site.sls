#!yaml
# Values for all courses of a school, under the formulas' own keys (each formula's README lists them).
letsencrypt:
  # Let's Encrypt. For tests use https://acme-staging-v02.api.letsencrypt.org/directory
  directory: https://acme-v02.api.letsencrypt.org/directory
