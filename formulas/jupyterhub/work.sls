{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- from 'jupyterhub/restarts.jinja' import watch with context %}
{%- set root = jupyterhub.root %}
{%- set work = salt['slsutil.merge'](jupyterhub.work, {
      'base_url': jupyterhub.base_url,
      'hub_api': 'http+unix://%2Frun%2Fcoursehub%2Fhub%2Fhub.sock' ~ jupyterhub.base_url ~ 'hub/api',
      'socket': '/run/coursehub/work/work.sock',
      'subdomain_host': jupyterhub.subdomain_host,
      'service': 'students-work',
      'names': '/etc/jupyterhub/names.json',
    }) %}

include:
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.places

# It contains groups and no people, so adding or removing a person restarts nothing.
/etc/jupyterhub/work.json:
  file.serialize:
    - dataset: {{ work | json }}
    - serializer: json
    - mode: '0600'
    - require:
      - file: /etc/jupyterhub

# Only the teachers' page reads it, at each request. No student can enter the directory.
{{ work.names }}:
  file.serialize:
    - dataset: {{ jupyterhub.names | json }}
    - serializer: json
    - mode: '0600'
    - show_changes: False
    - require:
      - file: /etc/jupyterhub

jupyterhub-work-files:
  python_package.installed:
    - name: {{ root }}/lib/class_work
    - source: salt://jupyterhub/files/class_work
    - require:
      - python_package: jupyterhub-openings

/etc/systemd/system/jupyterhub-work.service:
  file.managed:
    - source: salt://jupyterhub/files/jupyterhub-work.service
    - template: jinja
    - mode: '0644'
    - context: {{ {'root': root, 'state': jupyterhub.state, 'unseen': jupyterhub.unseen_by_work} | json }}

# Starts before the hub, which would wait for it. A restart of one does not restart the other.
jupyterhub-work:
  service.running:
    - enable: True
    - require:
      - cmd: jupyterhub-places
    - require_in:
      - service: jupyterhub
    - watch: {{ watch('jupyterhub-work') }}
