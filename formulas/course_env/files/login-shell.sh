# Managed by Salt (formula course_env). A terminal of Lab's is a login shell, and /etc/profile has just set PATH anew: the
# course's Python comes first again, and programs of the student's own packages last.
if [ -n "${COURSEHUB_ENV:-}" ]; then
    PATH="$COURSEHUB_ENV/bin:$PATH${COURSEHUB_OWN_BIN:+:$COURSEHUB_OWN_BIN}"
    export PATH
fi
