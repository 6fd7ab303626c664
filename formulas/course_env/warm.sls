{#- Images from which servers and kernels start: docs/decisions/warm-images.md. -#}
{%- from 'course_env/map.jinja' import course_env with context %}
{%- set lib = course_env.root ~ '/lib' %}
{%- set warm = course_env.images %}
{%- set site = lib ~ '/class_own/site' %}
{%- set modules = course_env.kernels.ready.modules %}
{%- set kinds = {'server': {'modules': [], 'pythonpath': ''}, 'kernel': {'modules': modules, 'pythonpath': site} } %}
{%- set units = ['coursehub-warm-server', 'coursehub-warm-kernel'] %}
{%- set timers = ['coursehub-warm-server.timer', 'coursehub-warm-kernel.timer'] %}

include:
  - course_env.environment
{%- if course_env.warm %}

# Everybody trusts what is in it.
{{ warm }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0755'

# An image is for one boot. Also empties the directory if the version before, which has no images, comes back.
/etc/tmpfiles.d/coursehub-warm.conf:
  file.managed:
    - mode: '0644'
    - contents: |
        # Managed by Salt (formula course_env).
        D {{ warm }} 0755 root root

course_env-warm-units:
  file.managed:
    - names:
{%-   for kind in kinds %}
{%-     for part in ['service', 'timer'] %}
      - /etc/systemd/system/coursehub-warm-{{ kind }}.{{ part }}:
        - source: salt://course_env/files/warm.{{ part }}
        - context: {{ {'kind': kind, 'lib': lib, 'link': course_env.root ~ '/env', 'python': course_env.python, 'warm': warm,
                       'modules': kinds[kind].modules, 'pythonpath': kinds[kind].pythonpath,
                       'shared': course_env.class_links.root} | json }}
{%-     endfor %}
{%-   endfor %}
    - template: jinja
    - mode: '0644'
    - require:
      - file: {{ warm }}
      - python_package: course_env-server

course_env-warm-reload:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: course_env-warm-units

course_env-warm-timers:
  service.running:
    - names: {{ timers | json }}
    - enable: True
    - require:
      - cmd: course_env-warm-reload
    - watch:
      - file: course_env-warm-units

# In the background: as long as there is no image, everything starts as usual.
course_env-warm-now:
  cmd.run:
    - name: systemctl start --no-block {{ units | join(' ') }}
    - onchanges:
      - uv_env: {{ course_env.root }}/envs
      - python_package: course_env-server
      - file: course_env-warm-units
    - require:
      - service: course_env-warm-timers
{%- else %}

course_env-warm-off:
  cmd.run:
    - name: >-
        systemctl disable --quiet --now {{ timers | join(' ') }}; systemctl stop {{ units | join(' ') }};
        rm -rf {{ warm }} {{ course_env.root }}/warm /etc/systemd/system/coursehub-warm-* /etc/tmpfiles.d/coursehub-warm.conf;
        systemctl daemon-reload;
        systemctl reset-failed --quiet 'coursehub-warm-*' || true
    - onlyif: >-
        test -e {{ warm }} -o -e {{ course_env.root }}/warm -o -e /etc/systemd/system/coursehub-warm-kernel.timer
{%- endif %}
