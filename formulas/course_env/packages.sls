{%- from 'course_env/map.jinja' import course_env with context %}
{%- set root = course_env.root %}
{%- set found = namespace(packages=course_env.apt) %}
{%- for language in course_env.languages %}
{%-   set found.packages = found.packages + course_env.language_packages[language] %}
{%- endfor %}

include:
  - course_env.environment
{%- if found.packages %}

# Alone: a name that Debian does not have must keep nothing else from being installed.
course_env-packages:
  pkg.installed:
    - pkgs: {{ found.packages | unique | sort | json }}
    - aggregate: False
{%- endif %}
{%- if 'r' in course_env.languages %}

{{ root }}/bin/start-r:
  file.managed:
    - source: salt://course_env/files/start-r
    - mode: '0755'
    - makedirs: True

# Before Debian's own /usr/share/jupyter/kernels/ir on Jupyter's path.
/usr/local/share/jupyter/kernels/ir/kernel.json:
  file.serialize:
    - dataset: {{ {'argv': [root ~ '/bin/start-r', '{connection_file}'], 'display_name': 'R', 'language': 'R'} | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True
    - require:
      - file: {{ root }}/bin/start-r
      - pkg: course_env-packages

/usr/local/share/jupyter/kernels/ir/logo-svg.svg:
  file.symlink:
    - target: /usr/share/jupyter/kernels/ir/logo-svg.svg
    - require:
      - file: /usr/local/share/jupyter/kernels/ir/kernel.json
{%- endif %}
