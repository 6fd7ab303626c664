{%- from 'material/map.jinja' import material with context %}
{%- set root = material.root ~ '/data' %}
{%- if material.data %}

material-data:
  material.data:
    - name: {{ root }}
    - group: {{ material.group }}
    - sets: {{ material.data | json }}
    - require:
      - file: material-parent
{%- else %}

material-data:
  cmd.run:
    - name: rm -rf {{ root }} /var/lib/coursehub/data.json
    - onlyif: test -e {{ root }}
{%- endif %}
