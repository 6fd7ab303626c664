{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set root = jupyterhub.root %}

/etc/jupyterhub:
  file.directory:
    - mode: '0700'

# Read at each request, so a new message of the day restarts nothing.
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
    - check_cmd: python3 -m py_compile
    - tmp_ext: .py

# The hub reads a template again after a change.
jupyterhub-templates:
  file.managed:
    - names:
{%- for page in ['page', 'login', 'logout_ask', 'spawn_pending', 'not_running', 'error', 'admin'] %}
      - {{ root }}/templates/{{ page }}.html:
        - source: salt://jupyterhub/files/templates/{{ page }}.html
{%- endfor %}
    - mode: '0644'
    - makedirs: True
