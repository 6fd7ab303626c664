{%- from 'accounts/map.jinja' import accounts with context %}

{{ accounts.home_root }}:
  file.directory:
    - user: root
    - group: root
    # Not closer than 0755: systemd-tmpfiles resets /home to that at each boot. The homes in it are 0700.
    - mode: '0755'

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
