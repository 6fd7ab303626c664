{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- from 'jupyterhub/restarts.jinja' import files, restarts, watch with context %}

include:
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.places
  - jupyterhub.units
  - jupyterhub.work

# Restarted only for its own changes: each restart interrupts every student's websocket for a moment.
jupyterhub-proxy:
  service.running:
    - enable: True
    - require:
      - python_package: jupyterhub-inside
      - cmd: jupyterhub-places
    - watch: {{ watch('jupyterhub-proxy') }}

jupyterhub:
  service.running:
    - enable: True
    - require:
      - service: jupyterhub-proxy
      - file: /etc/pam.d/jupyterhub
      - file: /etc/systemd/system/class.slice
    - watch: {{ watch('jupyterhub') }}

# Makes up for restarts that a killed run missed: compares each unit's last start with its files.
{%- for unit in restarts %}

{{ unit }}-current:
  cmd.run:
    - name: systemctl daemon-reload && systemctl restart {{ unit }}
    - unless: >-
        test -e /run/{{ unit }}.started &&
        ! find {{ files(unit) }}-newer /run/{{ unit }}.started | grep -q .
    - require:
      - service: {{ unit }}
{%- endfor %}
