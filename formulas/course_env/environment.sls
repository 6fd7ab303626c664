{%- from 'course_env/map.jinja' import course_env with context %}
{%- set root = course_env.root %}

include:
  - uv

# First: the environments below are made in parallel, and other states would create this directory at the same moment.
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
    # The scripts of Lab and its extensions, which nginx serves.
    - compress: [share/jupyter/lab/static, share/jupyter/labextensions]
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
        lib: {{ root }}/lib
        class_links: {{ course_env.class_links | json }}
        earlier: {{ course_env.get('earlier', '') | json }}
        python: {{ course_env.python }}
        image: {{ (course_env.images ~ '/server.image') if course_env.warm else '' }}
    - require:
      - python_package: course_env-server

# /etc/jupyter is on Jupyter's search path in every environment.
/etc/jupyter/jupyter_server_config.py:
  file.managed:
    - source: salt://course_env/files/jupyter_server_config.py
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - check_cmd: python3 -m py_compile
    - tmp_ext: .py
    - context:
        settings: {{ {'kernels': course_env.kernels, 'server': course_env.server, 'lib': root ~ '/lib',
                       'image': (course_env.images ~ '/kernel.image') if course_env.warm else ''} | json }}

# Terminals are login shells, and Debian's /etc/profile replaces the PATH of the server that started them.
/etc/profile.d/coursehub-course.sh:
  file.managed:
    - source: salt://course_env/files/login-shell.sh
    - mode: '0644'
    - check_cmd: sh -n

# For messages of the course's pip: whom to ask for a package, and whether the network is closed.
/etc/jupyter/class_own.json:
  file.serialize:
    - dataset: {{ course_env.own | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

# Read at each upload.
/etc/jupyter/class_uploads.json:
  file.serialize:
    - dataset: {{ {'limit': course_env.upload_limit} | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

# Read each time Lab asks whether its server stops soon.
/etc/jupyter/class_idle.json:
  file.serialize:
    - dataset: {{ course_env.idle | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

# The pull of course material; nbgitpuller itself is in the lock.
course_env-pull:
  python_package.installed:
    - name: {{ root }}/lib/class_pull
    - source: salt://course_env/files/class_pull

# Read at each click, so a new repository restarts nobody's server.
/etc/jupyter/class_pull_course.json:
  file.serialize:
    - dataset: {{ course_env.pull | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

# Installed before the configurations that import it.
course_env-server:
  python_package.installed:
    - names:
{%- for package in ['class_kernel', 'class_lab', 'class_own', 'class_server', 'class_warm'] %}
      - {{ root }}/lib/{{ package }}:
        - source: salt://course_env/files/{{ package }}
{%- endfor %}
    - require_in:
      - file: /etc/jupyter/jupyter_server_config.py

# On IPython's search path in every environment.
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

# In separate files, as other extensions do: a setting in the configuration would replace theirs.
course_env-extensions:
  file.serialize:
    - names:
{%- for extension in ['class_lab', 'class_pull'] %}
      - /etc/jupyter/jupyter_server_config.d/{{ extension }}.json:
        - dataset: {{ {'ServerApp': {'jpserver_extensions': {extension: true} } } | json }}
{%- endfor %}
    - serializer: json
    - mode: '0644'
    - makedirs: True
    - require:
      - python_package: course_env-pull
      - python_package: course_env-server

# On Lab's search path in every environment.
course_env-lab:
  python_package.installed:
    - name: /usr/local/share/jupyter/labextensions/coursehub-class
    - source: salt://course_env/files/labextension

# Converts a notebook to PDF. Only if the course wants it, because it is big.
{%- if course_env.pdf %}
{{ root }}/pdf:
  uv_env.installed:
    - requirements: salt://course_env/files/pdf.txt
    - link: {{ root }}/pdf/current
    - imports: [pypandoc, typst]
    - keep: 1
    - bytecode: False
    - uv: {{ course_env.uv }}
    - python: {{ course_env.python }}
    - parallel: True
    - require:
      - sls: uv
      - file: {{ root }}

{{ root }}/lib/class_export:
  python_package.installed:
    - source: salt://course_env/files/class_export
{%- else %}
{{ root }}/pdf:
  file.absent
{%- endif %}

# With Lab's own defaults, every student is asked at the first start whether to fetch news from the internet.
/etc/jupyter/labconfig/default_setting_overrides.json:
  file.serialize:
    - dataset: {{ course_env.lab_settings | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True
