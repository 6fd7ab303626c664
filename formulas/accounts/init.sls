{%- from 'accounts/map.jinja' import accounts with context %}

include:
  - accounts.links

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
    - team_prefix: {{ accounts.team_prefix | json }}
    - require:
      - file: {{ accounts.home_root }}

# By now the groups are there.
accounts-directories:
  class_files.managed:
    - name: {{ accounts.directories.root }}
    - readers: {{ accounts.class_group }}
    - writers: {{ accounts.directories.writers | json }}
    - team_prefix: {{ accounts.team_prefix | json }}
    - require:
      - class_accounts: accounts-class

# Students' sessions may not gain rights, so the real passwd cannot work in them; see files/passwd.
accounts-passwd:
  file.managed:
    - names:
      - /usr/local/bin/passwd:
        - source: salt://accounts/files/passwd
        - mode: '0755'
      - /usr/local/lib/coursehub/change-password:
        - source: salt://accounts/files/change-password
        - mode: '0755'
      - /etc/systemd/system/coursehub-passwd@.service:
        - source: salt://accounts/files/coursehub-passwd@.service
        - mode: '0644'
      - /etc/systemd/system/coursehub-passwd.socket:
        - source: salt://accounts/files/coursehub-passwd.socket
        - mode: '0644'
    - makedirs: True

accounts-passwd-socket:
  service.running:
    - name: coursehub-passwd.socket
    - enable: True
    - require:
      - file: accounts-passwd
    - watch:
      - file: /etc/systemd/system/coursehub-passwd.socket
