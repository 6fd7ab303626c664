{%- from 'material/map.jinja' import material with context %}

include:
  - material.repositories
  - material.data
{%- if material.repositories or material.data %}

# Open to everybody: each directory in it has its own permissions.
material-parent:
  file.directory:
    - name: {{ material.root }}
    - mode: '0755'
{%- endif %}
