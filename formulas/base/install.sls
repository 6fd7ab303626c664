{%- from 'base/map.jinja' import base with context %}

include:
  - base.apt

base-packages:
  pkg.installed:
    - pkgs:
      - ca-certificates
      - openssh-server
      - sudo
      - tzdata
{%- if base.upgrades.enabled %}
      - unattended-upgrades
{%- endif %}
{%- if base.locale != 'C.UTF-8' %}
      - locales
{%- endif %}
    - require:
      - apt_lists: base-apt-lists
