{%- from 'jupyterhub/map.jinja' import jupyterhub with context %}
{%- set upgrade = jupyterhub.upgrade %}

jupyterhub-upgrade:
  python_package.installed:
    - name: /usr/local/lib/coursehub/coursehub_upgrade
    - source: salt://jupyterhub/files/coursehub_upgrade

/usr/local/sbin/coursehub-upgrade:
  file.managed:
    - source: salt://jupyterhub/files/coursehub-upgrade
    - mode: '0755'
    - require:
      - python_package: jupyterhub-upgrade

/etc/coursehub/upgrade.json:
  file.serialize:
    - dataset: {{ {
        'place': upgrade.place,
        'allowed': upgrade.allowed,
        'went_back': upgrade.went_back,
        'hub': jupyterhub.root,
        'course': upgrade.course,
        'state': jupyterhub.state,
        'database': jupyterhub.state ~ '/jupyterhub.sqlite',
        'salt': upgrade.salt,
        'account': upgrade.account,
        'groups': upgrade.groups,
        'check': upgrade.check,
        'saved': [jupyterhub.root, upgrade.course] + upgrade.saved,
        'copied': [jupyterhub.root, upgrade.course] + upgrade.copied,
      } | json }}
    - serializer: json
    - mode: '0600'
    - makedirs: True

# Copies of the database and of secrets.
{{ upgrade.place }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0700'

/etc/systemd/system/coursehub-upgrade-mend.service:
  file.managed:
    - source: salt://jupyterhub/files/coursehub-upgrade-mend.service
    - template: jinja
    - mode: '0644'
    - context:
        place: {{ upgrade.place }}

# It has nothing to do until a boot finds an upgrade that was cut off.
jupyterhub-upgrade-mend:
  service.enabled:
    - name: coursehub-upgrade-mend.service
    - require:
      - file: /etc/systemd/system/coursehub-upgrade-mend.service
      - file: /usr/local/sbin/coursehub-upgrade
      - file: /etc/coursehub/upgrade.json
