# Managed by Salt (formula course_env). A terminal of Lab is a login shell, and /etc/profile has just replaced PATH. This puts
# the course's Python first again, and programs of the student's own packages last.
if [ -n "${COURSEHUB_ENV:-}" ]; then
    PATH="$COURSEHUB_ENV/bin:$PATH${COURSEHUB_OWN_BIN:+:$COURSEHUB_OWN_BIN}"
    export PATH
fi
