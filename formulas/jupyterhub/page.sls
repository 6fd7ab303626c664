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

# The hub reads a template again after a change. A state for each file would take longer.
jupyterhub-templates:
  python_package.installed:
    - name: {{ root }}/templates
    - source: salt://jupyterhub/files/templates
