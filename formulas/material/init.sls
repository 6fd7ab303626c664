{%- from 'material/map.jinja' import material with context %}

include:
  - material.repositories
  - material.data
{%- if material.repositories or material.data %}

# Open: what is in it says by itself who may read it.
material-parent:
  file.directory:
    - name: {{ material.root }}
    - mode: '0755'
{%- endif %}
