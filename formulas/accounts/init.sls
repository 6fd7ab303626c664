{%- from 'accounts/map.jinja' import accounts with context %}

{{ accounts.home_root }}:
  file.directory:
    - user: root
    - group: root
    # Nobody lists whose homes there are.
    - mode: '0711'

accounts-class:
  class_accounts.managed:
    - people: {{ accounts.people | json }}
    - groups: {{ accounts.groups | json }}
    - class_group: {{ accounts.class_group }}
    - home_root: {{ accounts.home_root }}
    - shell: {{ accounts.shell }}
    - stop_units: {{ accounts.stop_units | json }}
    - require:
      - file: {{ accounts.home_root }}
