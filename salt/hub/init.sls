# One class hub: the order in which the formulas build it. Each formula gets its values by its own pillar key,
# which pillar/hub.sls fills from the course file.
include:
  - base.trust
  - base.apt
  # The environments download in the background (their states are parallel) while apt installs all the rest.
  - uv
  - course_env
  - jupyterhub.install
  - base
  - firewall
  - accounts
  - nginx
  - letsencrypt
  - jupyterhub

# uv is the first to ask apt and an index for something: both must have been set up by then.
extend:
  uv-packages:
    pkg:
      - require:
        - cmd: base-dpkg-repair
