# One class hub: the order in which the formulas build it. Each formula gets its values by its own pillar key,
# which pillar/hub.sls fills from the course file.
include:
  - base.trust
  - base.apt
  # The environments download in the background (their states are parallel) while apt installs all the rest.
  - uv
  - course_env.environment
  - jupyterhub.install
  - base
  - firewall
  - accounts
  - nginx
  - letsencrypt
  - jupyterhub
  - material
  - backup
  # What the course alone asks for of Debian may be big: after all that a hub cannot do without.
  - course_env

# uv is the first to ask apt and an index for something: both must have been set up by then. Where apt has nothing for
# it, nothing else on an empty server can go on either, and each would wait through all of its tries to say so.
extend:
  uv-packages:
    pkg:
      - failhard: True
      - require:
        - apt_lists: base-apt-lists
{%- if salt['pillar.get']('material:repositories') or salt['pillar.get']('material:data') %}
  # Its readers are the class.
  material-parent:
    file:
      - require:
        - class_accounts: accounts-class
{%- endif %}
