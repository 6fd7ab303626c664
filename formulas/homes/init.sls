{%- from 'homes/map.jinja' import homes with context %}
{%- set limits = homes.limits %}
{%- set image = homes.place ~ '/disk.img' %}

homes-packages:
  pkg.installed:
    - pkgs: [btrfs-progs]

homes-program:
  python_package.installed:
    - name: /usr/local/lib/coursehub/class_disk
    - source: salt://homes/files/class_disk

/usr/local/sbin/coursehub-disk:
  file.managed:
    - source: salt://homes/files/coursehub-disk
    - mode: '0755'

/etc/coursehub/class-disk.json:
  file.serialize:
    - dataset: {{ {
        'image': image,
        'disk': homes.disk,
        'home_root': homes.home_root,
        'class_root': homes.class_root,
        'reserve_percent': homes.reserve.percent,
        'reserve_least': homes.reserve.least,
        'shared_out_percent': limits.percent,
        'each': limits.each,
        'each_most': limits.most,
        'each_least': limits.least,
        'common_percent': limits.common,
        'warn_percent': limits.warn,
        'hourly': homes.history.hourly,
        'daily': homes.history.daily,
      } | json }}
    - serializer: json
    - mode: '0644'
    - makedirs: True

{#- nodiscard: deleted blocks stay allocated. Otherwise the system could use that space, and writes here would fail. #}
{%- set mounts = [
      (homes.disk, image, 'btrfs', 'loop,noatime,nodiscard,nosuid,nodev'),
      (homes.home_root, homes.disk ~ '/homes', 'none', 'bind'),
      (homes.class_root, homes.disk ~ '/class', 'none', 'bind'),
    ] %}
homes-mounts:
  file.managed:
    - names:
{%- for where, what, type, options in mounts %}
      - /etc/systemd/system/{{ where[1:] | replace('/', '-') }}.mount:
        - context: {{ {'where': where, 'what': what, 'type': type, 'options': options, 'image': image} | json }}
{%- endfor %}
    - source: salt://homes/files/part.mount
    - template: jinja
    - mode: '0644'

# If the disk cannot be made (exit code 3), homes stay on the server's own disk, and the file `none` says why.
homes-disk:
  cmd.run:
    - name: /usr/local/sbin/coursehub-disk make || test $? = 3
    - unless: >-
        test -e {{ homes.place }}/none ||
        { mountpoint -q {{ homes.disk }} && mountpoint -q {{ homes.home_root }} && mountpoint -q {{ homes.class_root }}; }
    - require:
      - pkg: homes-packages
      - python_package: homes-program
      - file: /usr/local/sbin/coursehub-disk
      - file: /etc/coursehub/class-disk.json
      - file: homes-mounts

homes-units:
  file.managed:
    - names:
{%- for name, when, what in [('look', 'OnBootSec=1min\nOnUnitInactiveSec=1min\nAccuracySec=5s', 'who uses how much of it'),
                             ('history', 'OnCalendar=hourly\nPersistent=true\nAccuracySec=1min', 'earlier versions')] %}
{%-   for kind in ['service', 'timer'] %}
      - /etc/systemd/system/coursehub-disk-{{ name }}.{{ kind }}:
        - source: salt://homes/files/looking-after.{{ kind }}
        - context: {{ {'verb': name, 'when': when, 'what': what, 'disk': homes.disk} | json }}
{%-   endfor %}
{%- endfor %}
    - template: jinja
    - mode: '0644'
    - require:
      - cmd: homes-disk

{%- for name in ['look', 'history'] %}

homes-{{ name }}-timer:
  service.running:
    - name: coursehub-disk-{{ name }}.timer
    - enable: True
    - watch:
      - file: homes-units
{%- endfor %}

# Apply changed limits now; the timer would do it within a minute.
homes-look:
  cmd.run:
    - name: systemctl start --no-block coursehub-disk-look.service
    - onchanges:
      - file: /etc/coursehub/class-disk.json
    - require:
      - file: homes-units
