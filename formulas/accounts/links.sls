{%- from 'accounts/map.jinja' import accounts with context %}

# A teammate could replace a file by a link. The next person who saves that file would write wherever the link leads,
# with their own rights. So the kernel follows no link below these directories.
{%- for name in ('shared', 'groups') %}
{%- set path = accounts.directories.root ~ '/' ~ name %}
{#- The unit name that systemd-escape would give this path. #}
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
