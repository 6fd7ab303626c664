# One class hub: the order of the formulas. Each formula gets its values under its own pillar key, which pillar/hub.sls
# fills from the course file.
include:
  - base.trust
  - base.apt
  # The environments download in parallel while apt installs the rest.
  - uv
  - course_env.environment
  - jupyterhub.install
  # Before anything has a home.
  - homes
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

# uv is the first to use apt and a package index, so both must be configured before. If apt cannot install uv's packages,
# the rest cannot work on an empty server either, and each state would first use up all of its tries.
extend:
  uv-packages:
    pkg:
      - failhard: True
      - require:
        - apt_lists: base-apt-lists
  homes-packages:
    pkg:
      - require:
        - apt_lists: base-apt-lists
  homes-look:
    cmd:
      - onchanges:
        - class_accounts: accounts-class
        - class_files: accounts-directories
  # A home that is made while the class's disk is away would lie below it.
  /home:
    file:
      - require:
        - cmd: homes-disk
{%- if salt['pillar.get']('material:repositories') or salt['pillar.get']('material:data') %}
  # The class's group, which reads it, must exist.
  material-parent:
    file:
      - require:
        - class_accounts: accounts-class
{%- endif %}
