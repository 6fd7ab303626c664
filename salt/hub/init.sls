# One class hub: the order in which the formulas build it. Each formula gets its values by its own pillar key,
# which pillar/hub.sls fills from the course file.
include:
  - base
  - firewall
  - accounts
  - nginx
  - letsencrypt
  - course_env
  - jupyterhub
