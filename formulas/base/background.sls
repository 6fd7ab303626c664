# For work that nobody waits for, such as a backup. It is beside class.slice, because weights count only among siblings: a
# unit in system.slice could take half of the processors from a class, whatever its own weight.
/etc/systemd/system/background.slice:
  file.managed:
    - contents: |
        # Managed by Salt (formula base).
        [Unit]
        Description=Work that nobody waits for

        [Slice]
        CPUAccounting=yes
        CPUWeight=5
        IOWeight=5
    - mode: '0644'

base-background:
  cmd.run:
    - name: systemctl daemon-reload
    - onchanges:
      - file: /etc/systemd/system/background.slice
