{%- from 'backup/map.jinja' import backup with context %}
{%- set place = '/etc/coursehub-backup' %}
{%- set directories = backup.targets.values() | selectattr('kind', 'equalto', 'directory') | map(attribute='path') | list %}
{%- if backup.targets %}

{{ place }}/config.json:
  file.serialize:
    - dataset:
        targets: {{ backup.targets | json }}
        sources: {{ backup.sources | json }}
        exclude: {{ (backup.exclude + backup.databases) | json }}
        databases: {{ backup.databases | json }}
        keep: {{ backup.keep | json }}
        hours: {{ backup.hours | json }}
        upload_kib: {{ backup.upload_limit }}
        restores_only: {{ backup.restores_only | json }}
        homes: {{ backup.homes }}
        restic_from: {{ backup.restic_from | json }}
        alert: {{ backup.alert | json }}
        problem: {{ backup.problem | json }}
        full: {{ backup.full | json }}
        whole: {{ dict(backup.whole, shared=backup.shared) | json }}
    - serializer: json
    - makedirs: True
    - dir_mode: '0700'
    - mode: '0600'
    # It contains the targets' credentials.
    - show_changes: False

# After its configuration: what is new there means nothing to older programs.
backup-command:
  python_package.installed:
    - name: /usr/local/lib/coursehub/coursehub_backup
    - source: salt://backup/files/coursehub_backup
    - require:
      - file: {{ place }}/config.json

{{ place }}/password:
  file.managed:
    - contents_pillar: backup:password
    - contents_newline: False
    - mode: '0400'
    - show_changes: False
    - require:
      - file: {{ place }}/config.json

{{ place }}/known_hosts:
  file.managed:
    - contents:
{%-   for name, one in backup.targets | dictsort if one.kind == 'sftp' %}
      - {{ (name ~ ' ' ~ one.host_key) | json }}
{%-   else %}
      - ''
{%-   endfor %}
    - mode: '0600'
    - require:
      - file: {{ place }}/config.json
{%-   for name, one in backup.targets | dictsort if one.kind == 'sftp' %}

{{ place }}/keys/{{ name }}:
  file.managed:
    - contents_pillar: backup:targets:{{ name }}:key
    - makedirs: True
    - dir_mode: '0700'
    - mode: '0400'
    - show_changes: False
    - require:
      - file: {{ place }}/config.json
{%-   endfor %}

backup-units:
  file.managed:
    - names:
      - /usr/local/sbin/coursehub-backup:
        - source: salt://backup/files/coursehub-backup
        - mode: '0755'
{%-   for unit in ('coursehub-backup.service', 'coursehub-backup.timer', 'coursehub-backup-watch.service', 'coursehub-backup-watch.timer', 'coursehub-restic.service') %}
      - /etc/systemd/system/{{ unit }}:
        - source: salt://backup/files/{{ unit }}
        - mode: '0644'
{%-   endfor %}
    - template: jinja
    - context:
        hub_state: {{ backup.hub_state }}
        mounts: {{ [backup.homes, backup.shared] | json }}
        directories: {{ directories | json }}
        problem: {{ backup.problem | json }}
        hours: {{ backup.hours | json }}
        nightly: {{ backup.nightly | json }}
        first_after: {{ backup.first_after }}

{%-   if not backup.restores_only %}

# The first run installs restic, minutes after the class can work, so that `apply` does not wait for it.
backup-timers:
  service.running:
    - names:
      - coursehub-backup.timer
      - coursehub-backup-watch.timer
    - enable: True
    - require:
      - python_package: backup-command
      - file: {{ place }}/password
    - watch:
      - file: backup-units
{%-   endif %}
{%- else %}

# Cleans up a server whose targets were removed from the course file. The backups themselves are elsewhere and stay.
backup-timers:
  cmd.run:
    - name: >-
        systemctl disable --quiet --now coursehub-backup.timer coursehub-backup-watch.timer;
        systemctl reset-failed --quiet 'coursehub-backup*' 'coursehub-restic*';
        rm -rf {{ place }} {{ backup.problem }} /var/lib/coursehub-backup /var/cache/coursehub-backup /usr/local/sbin/coursehub-backup
        /usr/local/lib/coursehub/coursehub_backup /etc/systemd/system/coursehub-backup.service
        /etc/systemd/system/coursehub-backup.timer /etc/systemd/system/coursehub-backup-watch.service
        /etc/systemd/system/coursehub-backup-watch.timer /etc/systemd/system/coursehub-restic.service
        && systemctl daemon-reload
    - onlyif: test -e /etc/systemd/system/coursehub-backup.timer
{%- endif %}
