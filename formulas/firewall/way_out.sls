{%- from 'firewall/map.jinja' import firewall with context %}
{%- set people = firewall.people %}
{%- set closed = people.only is not none %}
{%- set files = [
    ('/etc/coursehub-way-out/tinyproxy.conf', 'way-out.conf'),
    ('/etc/coursehub-way-out/filter', 'way-out.filter'),
    ('/etc/profile.d/coursehub-way-out.sh', 'way-out.sh'),
    ('/etc/systemd/system/coursehub-way-out.service', 'coursehub-way-out.service'),
] %}
{%- if closed %}
# This package has only the program, without a service.
firewall-way-out-package:
  pkg.installed:
    - pkgs:
      - tinyproxy-bin

# A fixed user, because the firewall has rules for it.
firewall-way-out-user:
  user.present:
    - name: coursehub-out
    - system: True
    - home: /nonexistent
    - createhome: False
    - shell: /usr/sbin/nologin
    - usergroup: True
    - require_in:
      - cmd: firewall-load

{%- for path, source in files %}
{{ path }}:
  file.managed:
    - source: salt://firewall/files/{{ source }}
    - template: jinja
    - context:
        people: {{ people | json }}
    - makedirs: True
    - mode: '0644'
{%- endfor %}

firewall-way-out-running:
  cmd.run:
    - name: >-
        systemctl enable --quiet coursehub-way-out && systemctl daemon-reload && systemctl restart coursehub-way-out
    - unless: >-
        systemctl is-active --quiet coursehub-way-out && systemctl is-enabled --quiet coursehub-way-out &&
        test -e /run/coursehub-way-out.started &&
        ! find /etc/coursehub-way-out /etc/systemd/system/coursehub-way-out.service
        -newer /run/coursehub-way-out.started | grep -q .
    - require:
      - pkg: firewall-way-out-package
      - user: firewall-way-out-user
{%- for path, _ in files %}
      - file: {{ path }}
{%- endfor %}
{%- else %}
firewall-way-out-ended:
  cmd.run:
    - name: systemctl disable --quiet --now coursehub-way-out
    - onlyif: test -e /etc/systemd/system/coursehub-way-out.service

{%- for path, _ in files %}
{{ path }}:
  file.absent:
    - require:
      - cmd: firewall-way-out-ended
{%- endfor %}
{%- endif %}
