{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}

include:
  - jupyterhub.install

/etc/jupyterhub:
  file.directory:
    - mode: '0700'

# Read at each request: a new message of the day restarts nothing.
/etc/jupyterhub/page.json:
  file.serialize:
    - dataset: {{ jupyterhub.page | json }}
    - serializer: json
    - mode: '0600'
    - require:
      - file: /etc/jupyterhub

{{ root }}/lib/class_page.py:
  file.managed:
    - source: salt://jupyterhub/files/class_page.py
    - mode: '0644'
    - makedirs: True
    - check_cmd: {{ root }}/hub/current/bin/python -B
    - require:
      - uv_env: {{ root }}/hub

# The hub reads a template again when it changed.
jupyterhub-templates:
  file.managed:
    - names:
      - {{ root }}/templates/page.html:
        - source: salt://jupyterhub/files/templates/page.html
      - {{ root }}/templates/login.html:
        - source: salt://jupyterhub/files/templates/login.html
    - mode: '0644'
    - makedirs: True
