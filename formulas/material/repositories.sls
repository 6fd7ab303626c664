{%- from 'material/map.jinja' import material with context %}
{%- set mirrors = material.root ~ '/material' %}
{%- set keys = '/etc/coursehub-material/keys' %}
{%- set entries = {} %}
{%- for name, given in material.repositories | dictsort %}
{%-   set entry = {'url': given.url, 'branch': given.branch, 'host_key': given.get('host_key', '')} %}
{#-   A new key, or a new version of a bundle, is a reason to fetch at once. Only the key's hash is stored here, which
      cannot be used to sign in. #}
{%-   do entry.update({'key': given.deploy_key | sha256 if given.get('deploy_key') else given.get('version', '')}) %}
{%-   do entries.update({name: entry}) %}
{%- endfor %}
{%- if entries %}

material-packages:
  pkg.installed:
    - pkgs:
      - git
      - openssh-client

# This account fetches and has the deploy keys; students only read what it fetched.
material-user:
  user.present:
    - name: {{ material.user }}
    - system: True
    - home: /var/lib/coursehub-material
    - createhome: False
    - shell: /usr/sbin/nologin

# git refuses to read another account's repository unless it is named here. Students read the mirrors.
/etc/gitconfig:
  file.managed:
    - contents: |
        [safe]
{%- for name in entries %}
            directory = {{ mirrors }}/{{ name }}
{%- endfor %}
    - mode: '0644'

/etc/coursehub-material/config.json:
  file.serialize:
    - dataset: {{ {'repositories': entries, 'mirrors': mirrors, 'keys': keys, 'known_hosts': material.known_hosts} | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

{{ keys }}:
  file.directory:
    - user: {{ material.user }}
    - mode: '0700'
    # Also removes the key of a removed repository.
    - clean: True
    - require:
      - user: material-user
      - file: /etc/coursehub-material/config.json
{%- for name, given in material.repositories | dictsort if given.get('deploy_key') %}

{{ keys }}/{{ name }}:
  file.managed:
    - contents_pillar: material:repositories:{{ name }}:deploy_key
    - user: {{ material.user }}
    - mode: '0400'
    - makedirs: True
    - show_changes: False
    - require:
      - user: material-user
      - file: /etc/coursehub-material/config.json
    - require_in:
      - file: {{ keys }}
{%- endfor %}

{{ mirrors }}:
  file.directory:
    - user: {{ material.user }}
    - group: {{ material.group }}
    - mode: '0750'
    - require:
      - user: material-user
      - file: material-parent

material-fetcher:
  file.managed:
    - names:
      - /usr/local/sbin/coursehub-material:
        - source: salt://material/files/coursehub_material.py
        - mode: '0755'
      - /etc/systemd/system/coursehub-material.service:
        - source: salt://material/files/coursehub-material.service
        - mode: '0644'
      - /etc/systemd/system/coursehub-material.timer:
        - source: salt://material/files/coursehub-material.timer
        - mode: '0644'
    - template: jinja
    - context:
        user: {{ material.user }}
        group: {{ material.group }}
        mirrors: {{ mirrors }}
        interval: {{ material.interval }}

# Fetches only what is missing or was wrong; the timer fetches what is new at the git host.
material-mirrors:
  material.mirrored:
    - name: {{ mirrors }}
    - repositories: {{ entries | json }}
    - require:
      - pkg: material-packages
      - file: /etc/coursehub-material/config.json
      - file: {{ keys }}
      - file: {{ mirrors }}
      - file: material-fetcher

material-timer:
  service.running:
    - name: coursehub-material.timer
    - enable: True
    - require:
      - file: material-fetcher
      - pkg: material-packages
    - watch:
      - file: /etc/systemd/system/coursehub-material.timer
{%- else %}

# A course that no longer has repositories: no key stays on the server, and nothing is fetched.
material-mirrors:
  cmd.run:
    - name: >-
        systemctl disable --quiet --now coursehub-material.timer; systemctl stop coursehub-material.service;
        systemctl reset-failed --quiet 'coursehub-material.*';
        rm -rf /etc/coursehub-material {{ mirrors }} /var/lib/coursehub-material /etc/gitconfig
        /usr/local/sbin/coursehub-material /etc/systemd/system/coursehub-material.service
        /etc/systemd/system/coursehub-material.timer && systemctl daemon-reload
    - onlyif: test -e /etc/systemd/system/coursehub-material.timer
{%- endif %}
