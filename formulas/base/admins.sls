{%- from 'base/map.jinja' import base with context %}

include:
  - base.install

{%- for account, admin in base.admins | dictsort %}
{%- set present = not admin.get('absent', False) %}
base-admin-{{ account }}:
  user.present:
    - name: {{ account }}
    - shell: {{ '/bin/bash' if present else '/usr/sbin/nologin' }}
    # Locked: admins sign in with a key, and sudo asks for no password.
    - password: '!'
    - enforce_password: False
    - require:
      - pkg: base-packages

/home/{{ account }}/.ssh/authorized_keys:
{%- if present %}
  file.managed:
    # The complete file, so a key that was removed from the pillar stops working.
    - contents: {{ admin['keys'] | json }}
    - user: {{ account }}
    - group: {{ account }}
    - mode: '0600'
    - dir_mode: '0700'
    - makedirs: True
    - require:
      - user: base-admin-{{ account }}
{%- else %}
  file.absent: []
{%- endif %}
{%- endfor %}

/etc/sudoers.d/coursehub-admins:
  file.managed:
    - source: salt://base/files/sudoers
    - template: jinja
    - context:
        admins: {{ base.admins | json }}
    - mode: '0440'
    - check_cmd: /usr/sbin/visudo -c -q -f
    - require:
      - pkg: base-packages
