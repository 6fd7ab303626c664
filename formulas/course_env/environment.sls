{%- from 'course_env/map.jinja' import course_env with context %}
{%- set root = course_env.root %}

include:
  - uv

{{ root }}/envs:
  uv_env.installed:
    - requirements: {{ course_env.lock }}
    - link: {{ root }}/env
    - imports: {{ (course_env.imports + course_env.extra_imports) | json }}
    - keep: {{ course_env.keep }}
    - uv: {{ course_env.uv }}
    - python: {{ course_env.python }}
    - parallel: True
    - require:
      - sls: uv

{{ root }}/bin/start-server:
  file.managed:
    - source: salt://course_env/files/start-server.sh
    - template: jinja
    - mode: '0755'
    - makedirs: True
    - check_cmd: sh -n
    - context:
        link: {{ root }}/env

# /etc/jupyter is on Jupyter's own search path, whichever environment runs.
/etc/jupyter/jupyter_server_config.py:
  file.managed:
    - source: salt://course_env/files/jupyter_server_config.py
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - check_cmd: python3 -m py_compile
    - tmp_ext: .py
    - context:
        settings: {{ {'kernels': course_env.kernels, 'server': course_env.server} | json }}

# Lab's own defaults ask every student at the first start whether to fetch news from the internet.
/etc/jupyter/labconfig/default_setting_overrides.json:
  file.serialize:
    - dataset: {{ course_env.lab_settings | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True
