{%- from 'course_env/map.jinja' import course_env with context %}
{%- set root = course_env.root %}

include:
  - uv

# First: environments are made in the background, beside files whose states would make it at the same moment.
{{ root }}:
  file.directory:
    - user: root
    - group: root
    - mode: '0755'

{{ root }}/envs:
  uv_env.installed:
    - requirements: {{ course_env.lock }}
    - link: {{ root }}/env
    - imports: {{ (course_env.imports + course_env.extra_imports) | json }}
    - keep: {{ course_env.keep }}
    - bytecode: {{ course_env.bytecode }}
    - uv: {{ course_env.uv }}
    - python: {{ course_env.python }}
    - parallel: True
    - require:
      - sls: uv
      - file: {{ root }}

{{ root }}/bin/start-server:
  file.managed:
    - source: salt://course_env/files/start-server.sh
    - template: jinja
    - mode: '0755'
    - makedirs: True
    - check_cmd: sh -n
    - context:
        link: {{ root }}/env
        class_links: {{ course_env.class_links | json }}

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
        settings: {{ {'kernels': course_env.kernels, 'server': course_env.server, 'lib': root ~ '/lib'} | json }}

# What a pull of course material does; nbgitpuller itself is in the lock.
course_env-pull:
  python_package.installed:
    - name: {{ root }}/lib/class_pull
    - source: salt://course_env/files/class_pull

# Read at each click: a new repository restarts nobody's server.
/etc/jupyter/class_pull_course.json:
  file.serialize:
    - dataset: {{ course_env.pull | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

# Before the configurations that import it.
course_env-server:
  python_package.installed:
    - names:
      - {{ root }}/lib/class_server:
        - source: salt://course_env/files/class_server
      - {{ root }}/lib/class_kernel:
        - source: salt://course_env/files/class_kernel
    - require_in:
      - file: /etc/jupyter/jupyter_server_config.py

# On IPython's own search path, whichever environment runs.
/etc/ipython/ipython_kernel_config.py:
  file.managed:
    - source: salt://course_env/files/ipython_kernel_config.py
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - check_cmd: python3 -m py_compile
    - tmp_ext: .py
    - context:
        lib: {{ root }}/lib
    - require:
      - python_package: course_env-server

# Beside the extensions' own files of this kind: a setting in the configuration would take the place of theirs.
/etc/jupyter/jupyter_server_config.d/class_pull.json:
  file.serialize:
    - dataset:
        ServerApp:
          jpserver_extensions:
            class_pull: true
    - serializer: json
    - mode: '0644'
    - makedirs: True
    - require:
      - python_package: course_env-pull

# Lab's own defaults ask every student at the first start whether to fetch news from the internet.
/etc/jupyter/labconfig/default_setting_overrides.json:
  file.serialize:
    - dataset: {{ course_env.lab_settings | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True
