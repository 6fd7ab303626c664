{%- from 'accounts/map.jinja' import accounts with context %}

include:
  - accounts.links
  - accounts.walls
  - accounts.passwd

{{ accounts.home_root }}:
  file.directory:
    - user: root
    - group: root
    # 0755 because systemd-tmpfiles resets /home to that at each boot. The homes in it are 0700.
    - mode: '0755'

/usr/local/lib/coursehub/coursehub-leave:
  file.managed:
    - source: salt://accounts/files/coursehub_leave.py
    - mode: '0755'
    - makedirs: True
    - check_cmd: python3 -m py_compile

accounts-class:
  class_accounts.managed:
    - people: {{ accounts.people | json }}
    - groups: {{ accounts.groups | json }}
    - class_group: {{ accounts.class_group }}
    - home_root: {{ accounts.home_root }}
    - shell: {{ accounts.shell }}
    - stop_units: {{ accounts.stop_units | json }}
    - team_prefix: {{ accounts.team_prefix | json }}
    - leave: /usr/local/lib/coursehub/coursehub-leave
    - left_file: {{ accounts.left_file | json }}
    - require:
      - file: {{ accounts.home_root }}
      - file: /usr/local/lib/coursehub/coursehub-leave

accounts-directories:
  class_files.managed:
    - name: {{ accounts.directories.root }}
    - readers: {{ accounts.class_group }}
    - writers: {{ accounts.directories.writers | json }}
    - team_prefix: {{ accounts.team_prefix | json }}
    - require:
      - class_accounts: accounts-class
