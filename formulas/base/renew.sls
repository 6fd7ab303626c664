include:
  - base.install

/usr/local/sbin/coursehub-renew:
  file.managed:
    - source: salt://base/files/coursehub_renew.py
    - mode: '0755'
    - check_cmd: python3 -m py_compile
    - tmp_ext: .py

/etc/systemd/system/coursehub-renew.service:
  file.managed:
    - source: salt://base/files/coursehub-renew.service
    - mode: '0644'

# An upgrade replaces files; only a restart removes the old ones from memory.
/etc/apt/apt.conf.d/90coursehub-renew:
  file.managed:
    - contents: |
        // Managed by Salt (formula base).
        DPkg::Post-Invoke { "systemctl start --no-block coursehub-renew.service || true"; };
    - mode: '0644'
    - require:
      - file: /usr/local/sbin/coursehub-renew
      - file: /etc/systemd/system/coursehub-renew.service
