{%- from 'accounts/map.jinja' import accounts with context %}

# Students' sessions may not gain rights, so the real passwd cannot work in them; see files/class_passwd.py.
accounts-passwd-packages:
  pkg.installed:
    # cracklib-runtime makes the dictionary; without it every password is refused.
    - pkgs: [libpam-pwquality, cracklib-runtime, python3-pwquality, python3-pampy]

/etc/security/pwquality.conf.d/10-coursehub.conf:
  file.managed:
    - source: salt://accounts/files/pwquality.conf
    - template: jinja
    - mode: '0644'
    - makedirs: True
    - context:
        quality: {{ accounts.password_quality | json }}

accounts-passwd:
  file.managed:
    - names:
      - /usr/local/bin/passwd:
        - source: salt://accounts/files/class_passwd.py
        - mode: '0755'
      - /usr/local/lib/coursehub/change-password:
        - source: salt://accounts/files/change_password.py
        - mode: '0755'
      - /etc/pam.d/coursehub-passwd:
        - source: salt://accounts/files/pam
        - mode: '0644'
      - /etc/systemd/system/coursehub-passwd.service:
        - source: salt://accounts/files/coursehub-passwd.service
        - mode: '0644'
      - /etc/systemd/system/coursehub-passwd.socket:
        - source: salt://accounts/files/coursehub-passwd.socket
        - mode: '0644'
    - makedirs: True
    - require:
      - pkg: accounts-passwd-packages

# From an older version: it ran the real passwd as the person who asked, and that person could stop it.
/etc/systemd/system/coursehub-passwd@.service:
  file.absent

accounts-passwd-socket:
  service.running:
    - name: coursehub-passwd.socket
    - enable: True
    - require:
      - file: accounts-passwd
      - file: /etc/systemd/system/coursehub-passwd@.service
    - watch:
      - file: /etc/systemd/system/coursehub-passwd.socket
      - file: /etc/systemd/system/coursehub-passwd@.service
