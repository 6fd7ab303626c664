{%- from 'accounts/map.jinja' import accounts with context %}

# Nothing of the class's starts by itself: no jobs of cron or at, no service that lingers. Root needs neither file.
accounts-no-timers:
  file.managed:
    - names:
      - /etc/cron.allow
      - /etc/at.allow
    - contents: root
    - mode: '0644'

# Debian's polkit lets whoever is signed in ask for more than the class needs: lingering, services, power.
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

# Programs that become root, or read shadow, for whoever starts them. Root and sudo need none of that. dpkg keeps it so
# through upgrades.
accounts-no-setuid:
  cmd.run:
    - name: >-
        for program in {{ accounts.no_setuid | join(' ') }}; do
        test -u "$program" -o -g "$program" || continue;
        dpkg-statoverride --force-all --update --add root root 0755 "$program" || exit 1; done
    - onlyif: find {{ accounts.no_setuid | join(' ') }} -maxdepth 0 -perm /6000 2>/dev/null | grep -q .
