{%- from 'accounts/map.jinja' import accounts with context %}

# A teammate could put a link in the place of a file: whoever saves that file next would write, with their own rights,
# wherever the link leads. The kernel follows no link below these directories.
{%- for name in ('shared', 'groups') %}
{%- set path = accounts.directories.root ~ '/' ~ name %}
{#- As systemd-escape names the unit of a path. #}
{%- set unit = path[1:] | replace('-', '\\x2d') | replace('/', '-') ~ '.mount' %}
accounts-no-links-{{ name }}:
  file.managed:
    - name: '/etc/systemd/system/{{ unit }}'
    - source: salt://accounts/files/no-links.mount
    - template: jinja
    - context:
        path: {{ path }}
    - mode: '0644'
  service.running:
    - name: '{{ unit }}'
    - enable: True
    - require:
      - file: accounts-no-links-{{ name }}
      - class_files: accounts-directories
{%- endfor %}
