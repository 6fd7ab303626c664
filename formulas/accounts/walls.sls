{%- from 'accounts/map.jinja' import accounts with context %}

# People of the class cannot start anything for later: no cron or at jobs, no lingering service. Root needs neither file.
accounts-no-timers:
  file.managed:
    - names:
      - /etc/cron.allow
      - /etc/at.allow
    - contents: root
    - mode: '0644'

# Debian's polkit lets every signed-in person ask for more than the class needs: lingering, services, power.
/etc/polkit-1/rules.d/10-coursehub.rules:
  file.managed:
    - contents: |
        polkit.addRule(function(action, subject) {
            if (subject.isInGroup("{{ accounts.class_group }}")) {
                return polkit.Result.NO;
            }
        });
    - mode: '0644'
    - makedirs: True

# Programs that become root, or read shadow, for any caller. Root and sudo do not need that. dpkg keeps the changed
# modes during upgrades.
accounts-no-setuid:
  cmd.run:
    - name: >-
        for program in {{ accounts.no_setuid | join(' ') }}; do
        test -u "$program" -o -g "$program" || continue;
        dpkg-statoverride --force-all --update --add root root 0755 "$program" || exit 1; done
    - onlyif: find {{ accounts.no_setuid | join(' ') }} -maxdepth 0 -perm /6000 2>/dev/null | grep -q .
